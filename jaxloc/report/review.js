{
  const { file: [file], hidden, sets, names, thresholds, counts, images } = data;
  const NEAR = 0.05;
  const UNUSABLE = ["broken", "too few"];
  const taken = [];
  let unsaved = false;

  images.forEach((image, index) => {
    const { set, share, why } = image;
    prepare(image, index, sets);
    image.near = share !== null && thresholds[set] !== null && Math.abs(share - thresholds[set]) <= NEAR;
    image.repeated = why === "duplicate" || why === "contradiction";
    image.other = image.other === null ? null : images[image.other];
  });
  // Images that repeat each other stand together, under the number of the one they all name. Of a contradiction that
  // one names another in turn, and the first of the two stands for all.
  for (const image of images) {
    const { other } = image;
    image.leader = other ? Math.min(other.index, other.other?.index ?? other.index) : image.index;
  }
  const groups = new Map();
  for (const image of images) groups.set(image.leader, [...groups.get(image.leader) ?? [], image]);
  const companions = (image) => groups.get(image.leader).filter((some) => some !== image);
  chooseFrame(images);

  // --- An image with its box, in a card or large ----------------------------------------------------------------

  function fill(frame, image) {
    if (image.thumbnail) showImage(frame, jpeg(image.thumbnail));
    placeBox(one(".box", frame), image);
  }

  // --- Cards: made once; what changes with a decision is painted again -------------------------------------------

  const apart = (bits) => `${bits} ${bits === 1 ? "bit" : "bits"} apart`;
  const verdict = ({ keep }) => keep ? "kept" : "dropped";
  const offer = ({ keep }) => keep ? "Drop it" : "Keep it";

  function paint(image) {
    const card = cards[image.index];
    const changed = image.keep !== image.rule;
    card.classList.toggle("dropped", !image.keep);
    card.classList.toggle("changed", changed);
    const badge = one(".badge", card);
    badge.className = `badge ${verdict(image)}`;
    badge.textContent = changed ? `${verdict(image)} by hand` : image.keep ? "kept" : image.why;
    const flip = one(".flip", card);
    flip.textContent = offer(image);
    flip.setAttribute("aria-label", `${offer(image)}: ${image.name}`);
  }

  const cards = images.map((image) => {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    card.title = `${image.name}: ${image.reason}`;
    card.image = image;
    const frame = frameOf(image, card);
    card.fill = () => fill(frame, image);
    one(".name", card).textContent = image.label;
    one(".set", card).textContent = groupName(sets[image.set]);
    one(".set", card).hidden = sets.length < 2;
    addScores(card, [
      ...(image.share === null ? [] : [["object share", percent(image.share)]]),
      ...(image.alignment === null ? [] : [["alignment", decimal(image.alignment)]]),
      ...(image.box ? [["score", decimal(image.score)]] : []),
    ]);
    if (!image.box) one(".scores", card).append(element("span", "no box"), " ");
    if (image.bits !== null) one(".scores", card).append(element("span", apart(image.bits)));
    one(".open", card).addEventListener("click", () => enlarge(image));
    one(".flip", card).addEventListener("click", () => decide(image, !image.keep));
    return card;
  });

  // --- Decide ----------------------------------------------------------------------------------------------------

  // Where the table of classes counts an image that is kept or dropped.
  function columns({ rule, why }, keep) {
    if (!keep) return [rule ? "dropped by hand" : why];
    return rule ? ["kept"] : ["kept", "kept by hand"];
  }

  function count() {
    const now = counts.map((own) => ({ ...own }));
    let changed = hidden.length;
    for (const image of images) {
      for (const column of columns(image, image.before)) now[image.set][column] -= 1;
      for (const column of columns(image, image.keep)) now[image.set][column] += 1;
      changed += image.keep !== image.rule;
    }
    const sum = (...keys) => now.reduce((total, own) => keys.reduce((some, key) => some + own[key], total), 0);
    const values = [sum("kept"), sum("images") - sum("kept", ...UNUSABLE), sum(...UNUSABLE), changed];
    all(".tiles dd").forEach((tile, place) => { tile.textContent = numbers.format(values[place]); });
    for (const cell of all("[data-count]")) {
      cell.textContent = numbers.format(now[cell.dataset.set][cell.dataset.count]);
    }
    one(".undo").disabled = taken.length === 0;
    one(".undo").textContent = taken.length ? `Undo (${numbers.format(taken.length)})` : "Undo";
    one(".download").classList.toggle("pending", unsaved);
    one(".download").textContent = unsaved ? `Download ${numbers.format(changed)} decisions` : "Download decisions";
  }

  function changeTo(image, keep) {
    image.keep = keep;
    unsaved = true;
    paint(image);
    count();
    countShown();
    one(".said").textContent = `${image.name}: ${verdict(image)}`;
    if (one("dialog").open) enlarge(image);
  }

  function decide(image, keep) {
    if (image.keep === keep) return;
    taken.push(image);
    changeTo(image, keep);
  }

  function undo() {
    const image = taken.pop();
    if (image) changeTo(image, !image.keep);
  }

  function download() {
    const byHand = images.filter(({ keep, rule }) => keep !== rule);
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
    share: (a, b) => a.share - b.share,
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
    const reason = reasons[why] ?? ((image) => image.why === why);
    return images.filter((image) => inGroup(image.set) && reason(image) && image.searchable.includes(query));
  }

  function countShown() {
    const some = matching();
    countTabs(Object.fromEntries(Object.entries(views).map(([view, holds]) => [view, some.filter(holds).length])));
  }

  function update() {
    const compare = sortKeys[controls.sort.value];
    shown = matching().filter(views[controls.show.value]).sort((a, b) => compare(a, b) || a.index - b.index);
    countShown();
    one("#images").hidden = shown.length === 0;
    one("#images .number").textContent = numbers.format(shown.length);
    putInto(one(".grid"), shown.map((image) => cards[image.index]));
    const conditions = [];
    if (controls.show.value !== "all") conditions.push(`“${controls.show.value}”`);
    if (controls.why.value) conditions.push(`“${controls.why.selectedOptions[0].textContent}”`);
    if (controls.group.value !== "") conditions.push(`the class “${groupName(sets[controls.group.value])}”`);
    if (controls.query.value.trim()) conditions.push(`“${controls.query.value.trim()}” in the name`);
    sayFiltered(shown.length, images.length, "images", conditions);
  }

  // --- The large view, and the keys ------------------------------------------------------------------------------

  function facts(image) {
    const list = [["Class", groupName(sets[image.set])], ["Decision", verdict(image)], ["Rules", image.why],
      ["Why", image.reason]];
    if (image.share !== null) list.push(["Object share", `${percent(image.share)} of the cells`]);
    list.push(image.box ? ["Score", decimal(image.score)] : ["Box", "none: nothing was found"]);
    if (image.bits !== null) list.push(["Hashes", apart(image.bits)]);
    return [...list, sizeFact(image)];
  }

  // Under the facts: the button that decides, and the images that this one repeats or that repeat it.
  function besideOf(image) {
    const flip = element("button", offer(image), "flip");
    flip.type = "button";
    flip.addEventListener("click", () => decide(image, !image.keep));
    const others = companions(image).slice(0, 4).flatMap((some) => [
      element("p", `${some.name}: ${verdict(some)}, ${numbers.format(some.width)} × ${numbers.format(some.height)}`),
      drawn(some, (frame) => fill(frame, some)),
    ]);
    return [flip, ...others];
  }

  const { enlarge, openFromAddress } = largeView({
    shown: () => shown,
    describe: (image) => ({
      name: image.label, facts: facts(image), draw: () => drawn(image, (frame) => fill(frame, image)), beside: besideOf(image),
    }),
    buttonOf: (image) => one(".open", cards[image.index]),
  });

  function underHand() {
    const open = one("dialog").open;
    if (open) return shown.find(({ address }) => address === location.hash);
    return document.activeElement?.closest(".card")?.image;
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
    const image = underHand();
    if (key === "u") undo();
    else if (image && (key === "k" || key === "d")) decide(image, key === "k");
    else if (image && key.startsWith("arrow") && !one("dialog").open) {
      event.preventDefault();
      walk(document.activeElement.closest(".card"), key);
    }
  });

  one(".choose-set").hidden = sets.length < 2;
  one(".clear").addEventListener("click", () => { controls.why.value = ""; });
  for (const image of images) {
    image.before = image.keep;
    paint(image);
  }
  count();
  startFilters(sets, update);
  update();
  openFromAddress();
}
