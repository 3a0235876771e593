{
  const { file: [file], hidden, sets, names, thresholds, counts, pictures } = data;
  const NEAR = 0.05;
  const UNUSABLE = ["broken", "too few"];
  const taken = [];
  let unsaved = false;

  pictures.forEach((picture, index) => {
    const { name, set, noise, why } = picture;
    picture.index = index;
    picture.address = `#picture-${index + 1}`;
    picture.searchable = comparable(name);
    picture.label = name.startsWith(`${sets[set]}/`) ? name.slice(sets[set].length + 1) : name;
    picture.near = noise !== null && thresholds[set] !== null && Math.abs(noise - thresholds[set]) <= NEAR;
    picture.repeated = why === "duplicate" || why === "contradiction";
    picture.other = picture.other === null ? null : pictures[picture.other];
  });
  // Pictures that repeat each other stand together, under the number of the one they all name. Of a contradiction that
  // one names another in turn, and the first of the two stands for all.
  for (const picture of pictures) {
    const { other } = picture;
    picture.leader = other ? Math.min(other.index, other.other?.index ?? other.index) : picture.index;
  }
  const groups = new Map();
  for (const picture of pictures) groups.set(picture.leader, [...groups.get(picture.leader) ?? [], picture]);
  const companions = (picture) => groups.get(picture.leader).filter((some) => some !== picture);
  chooseFrame(pictures);

  // --- A picture with its box, in a card or large ----------------------------------------------------------------

  function frameOf(picture, template) {
    const frame = one(".picture", template);
    setRatio(frame, picture.width / picture.height);
    frame.classList.toggle("without", !picture.thumbnail);
    return frame;
  }

  function fill(frame, picture) {
    if (picture.thumbnail) showImage(frame, jpeg(picture.thumbnail));
    placeBox(one(".box", frame), picture);
  }

  function drawn(picture) {
    const frame = frameOf(picture, one("#card").content.cloneNode(true));
    fill(frame, picture);
    one("img", frame).alt = picture.name;
    return frame;
  }

  // --- Cards: made once; what changes with a decision is painted again -------------------------------------------

  // Small shares are what thresholds are about, so these get a decimal more.
  const share = (value) => `${(100 * value).toFixed(value < 0.2 ? 1 : 0)} %`;
  const verdict = ({ keep }) => keep ? "kept" : "dropped";
  const offer = ({ keep }) => keep ? "Drop it" : "Keep it";

  function paint(picture) {
    const card = cards[picture.index];
    const changed = picture.keep !== picture.rule;
    card.classList.toggle("dropped", !picture.keep);
    card.classList.toggle("changed", changed);
    const badge = one(".badge", card);
    badge.className = `badge ${verdict(picture)}`;
    badge.textContent = changed ? `${verdict(picture)} by hand` : picture.keep ? "kept" : picture.why;
    const flip = one(".flip", card);
    flip.textContent = offer(picture);
    flip.setAttribute("aria-label", `${offer(picture)}: ${picture.name}`);
  }

  const cards = pictures.map((picture) => {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    card.title = `${picture.name}: ${picture.reason}`;
    card.picture = picture;
    const frame = frameOf(picture, card);
    card.fill = () => fill(frame, picture);
    one(".name", card).textContent = picture.label;
    one(".set", card).textContent = groupName(sets[picture.set]);
    one(".set", card).hidden = sets.length < 2;
    const scores = [["positive", picture.noise === null ? null : share(picture.noise)],
      ["score", picture.box ? decimal(picture.score) : null]];
    for (const [name, text] of scores.filter(([, text]) => text !== null)) {
      const score = element("span", `${name} `);
      score.append(element("b", text));
      one(".scores", card).append(score, " ");
    }
    if (!picture.box) one(".scores", card).append(element("span", "no box"), " ");
    if (picture.bits !== null) one(".scores", card).append(element("span", `${picture.bits} bits apart`));
    one(".open", card).addEventListener("click", () => enlarge(picture));
    one(".flip", card).addEventListener("click", () => decide(picture, !picture.keep));
    return card;
  });

  // --- Decide ----------------------------------------------------------------------------------------------------

  // Where the table of classes counts a picture that is kept or dropped.
  function columns({ rule, why }, keep) {
    if (!keep) return [rule ? "dropped by hand" : why];
    return rule ? ["kept"] : ["kept", "kept by hand"];
  }

  function count() {
    const now = counts.map((own) => ({ ...own }));
    let changed = hidden.length;
    for (const picture of pictures) {
      for (const column of columns(picture, picture.before)) now[picture.set][column] -= 1;
      for (const column of columns(picture, picture.keep)) now[picture.set][column] += 1;
      changed += picture.keep !== picture.rule;
    }
    const sum = (...keys) => now.reduce((total, own) => keys.reduce((some, key) => some + own[key], total), 0);
    const values = [sum("kept"), sum("pictures") - sum("kept", ...UNUSABLE), sum(...UNUSABLE), changed];
    all(".tiles dd").forEach((tile, place) => { tile.textContent = numbers.format(values[place]); });
    for (const cell of all("[data-count]")) {
      cell.textContent = numbers.format(now[cell.dataset.set][cell.dataset.count]);
    }
    one(".undo").disabled = taken.length === 0;
    one(".undo").textContent = taken.length ? `Undo (${numbers.format(taken.length)})` : "Undo";
    one(".download").classList.toggle("pending", unsaved);
    one(".download").textContent = unsaved ? `Download ${numbers.format(changed)} decisions` : "Download decisions";
  }

  function changeTo(picture, keep) {
    picture.keep = keep;
    unsaved = true;
    paint(picture);
    count();
    countShown();
    one(".said").textContent = `${picture.name}: ${verdict(picture)}`;
    if (one("dialog").open) enlarge(picture);
  }

  function decide(picture, keep) {
    if (picture.keep === keep) return;
    taken.push(picture);
    changeTo(picture, keep);
  }

  function undo() {
    const picture = taken.pop();
    if (picture) changeTo(picture, !picture.keep);
  }

  function download() {
    const byHand = pictures.filter(({ keep, rule }) => keep !== rule);
    const decisions = [...hidden, ...byHand.map(({ key, set, keep }) => ({ name: key, class: names[set], keep }))];
    const text = JSON.stringify({ ...file, decisions }, null, 1) + "\n";
    const link = element("a", "");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "decisions-by-hand.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    unsaved = false;
    one(".said").textContent = `${decisions.length} decisions downloaded`;
    count();
  }

  one(".undo").addEventListener("click", undo);
  one(".download").addEventListener("click", download);
  window.addEventListener("beforeunload", (event) => unsaved && event.preventDefault());

  // --- Sort and filter -------------------------------------------------------------------------------------------

  let shown = [];

  const sortKeys = {
    doubt: (a, b) => a.doubt - b.doubt,
    noise: (a, b) => a.noise - b.noise,
    group: (a, b) => groups.get(b.leader).length - groups.get(a.leader).length || a.leader - b.leader,
    name: (a, b) => collator.compare(a.name, b.name),
  };
  const views = {
    all: () => true,
    kept: ({ keep }) => keep,
    dropped: ({ keep }) => !keep,
    changed: ({ keep, rule }) => keep !== rule,
  };
  const reasons = { "": () => true, near: ({ near }) => near };

  function matching() {
    const query = comparable(controls.query.value.trim());
    const why = controls.why.value;
    const reason = reasons[why] ?? ((picture) => picture.why === why);
    return pictures.filter((picture) => inGroup(picture.set) && reason(picture) && picture.searchable.includes(query));
  }

  function countShown() {
    const some = matching();
    countTabs(Object.fromEntries(Object.entries(views).map(([view, holds]) => [view, some.filter(holds).length])));
  }

  function update() {
    const compare = sortKeys[controls.sort.value];
    shown = matching().filter(views[controls.show.value]).sort((a, b) => compare(a, b) || a.index - b.index);
    countShown();
    one("#pictures").hidden = shown.length === 0;
    one("#pictures .number").textContent = numbers.format(shown.length);
    putInto(one(".grid"), shown.map((picture) => cards[picture.index]));
    const conditions = [];
    if (controls.show.value !== "all") conditions.push(`“${controls.show.value}”`);
    if (controls.why.value) conditions.push(`“${controls.why.selectedOptions[0].textContent}”`);
    if (controls.group.value !== "") conditions.push(`the class “${groupName(sets[controls.group.value])}”`);
    if (controls.query.value.trim()) conditions.push(`“${controls.query.value.trim()}” in the name`);
    sayFiltered(shown.length, pictures.length, "pictures", conditions);
  }

  // --- The large view, and the keys ------------------------------------------------------------------------------

  function facts(picture) {
    const list = [["Class", groupName(sets[picture.set])], ["Decision", verdict(picture)], ["Rules", picture.why],
      ["Why", picture.reason]];
    if (picture.noise !== null) list.push(["Positive cells", share(picture.noise)]);
    list.push(picture.box ? ["Score", decimal(picture.score)] : ["Box", "none: nothing was found"]);
    if (picture.bits !== null) list.push(["Hashes", `${picture.bits} bits apart`]);
    list.push(["Picture", `${numbers.format(picture.width)} × ${numbers.format(picture.height)} pixels`]);
    return list;
  }

  // Under the facts: the button that decides, and the pictures that this one repeats or that repeat it.
  function besideOf(picture) {
    const flip = element("button", offer(picture), "flip");
    flip.type = "button";
    flip.addEventListener("click", () => decide(picture, !picture.keep));
    const others = companions(picture).slice(0, 4).flatMap((some) => [
      element("p", `${some.name}: ${verdict(some)}, ${numbers.format(some.width)} × ${numbers.format(some.height)}`),
      drawn(some),
    ]);
    return [flip, ...others];
  }

  const { enlarge, openFromAddress } = largeView({
    shown: () => shown,
    describe: (picture) => ({
      name: picture.label, facts: facts(picture), draw: () => drawn(picture), beside: besideOf(picture),
    }),
    buttonOf: (picture) => one(".open", cards[picture.index]),
  });

  function underHand() {
    const open = one("dialog").open;
    if (open) return shown.find(({ address }) => address === location.hash);
    return document.activeElement?.closest(".card")?.picture;
  }

  // In the grid, arrow keys go from card to card; up and down by a row.
  function walk(card, key) {
    const items = all(".grid > .card");
    const columns = getComputedStyle(one(".grid")).gridTemplateColumns.split(" ").length;
    const by = { arrowleft: -1, arrowright: 1, arrowup: -columns, arrowdown: columns }[key];
    const next = items[items.indexOf(card) + by];
    if (next) one(".open", next).focus();
  }

  document.addEventListener("keydown", (event) => {
    const { target, ctrlKey, metaKey, altKey } = event;
    if (ctrlKey || metaKey || altKey || target.matches("[type=search], [type=range], [type=radio], select")) return;
    const key = event.key.toLowerCase();
    const picture = underHand();
    if (key === "u") undo();
    else if (picture && (key === "k" || key === "d")) decide(picture, key === "k");
    else if (picture && key.startsWith("arrow") && !one("dialog").open) {
      event.preventDefault();
      walk(document.activeElement.closest(".card"), key);
    }
  });

  one(".choose-set").hidden = sets.length < 2;
  one(".clear").addEventListener("click", () => { controls.why.value = ""; });
  for (const picture of pictures) {
    picture.before = picture.keep;
    paint(picture);
  }
  count();
  startFilters(sets, update);
  update();
  openFromAddress();
}
