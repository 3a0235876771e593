{
  const { file: [file], ungrouped: [UNGROUPED], sets, names: called, left, hidden, images } = data;
  // What each group that was found is called now, and the group of images that were moved one by one.
  const names = [...called];
  const moved = new Map(hidden.map(({ name, group }) => [name, group]));
  const taken = [];
  const picked = new Set();
  let unsaved = false;

  images.forEach((image, index) => {
    prepare(image, index, sets);
    if (image.moved !== null) moved.set(image.key, image.moved);
  });
  chooseFrame(images);

  const groupOf = ({ key, set }) => moved.get(key) ?? names[set];
  const isChanged = (image) => groupOf(image) !== sets[image.set];

  // Each group's number of images, shown or not; the largest first, those without a group last.
  function countGroups() {
    const numbersOf = new Map();
    const add = (name, number) => numbersOf.set(name, (numbersOf.get(name) ?? 0) + number);
    names.forEach((name, set) => left[set] && add(name, left[set]));
    hidden.forEach(({ name }) => add(moved.get(name), 1));
    images.forEach((image) => add(groupOf(image), 1));
    return [...numbersOf].sort(([a, x], [b, y]) => (a === UNGROUPED) - (b === UNGROUPED) || y - x || collator.compare(a, b));
  }

  // --- Cards: made once ------------------------------------------------------------------------------------------

  function fill(frame, image) {
    if (image.thumbnail) showImage(frame, jpeg(image.thumbnail));
    placeBox(one(".box", frame), image);
  }

  function pick(image, on) {
    picked[on ? "add" : "delete"](image);
    const card = cards[image.index];
    card.classList.toggle("picked", on);
    one(".pick input", card).checked = on;
    one(".chosen").hidden = picked.size === 0;
    one(".chosen b").textContent = `${numbers.format(picked.size)} chosen`;
  }

  const pickNone = () => [...picked].forEach((image) => pick(image, false));

  const cards = images.map((image) => {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    card.title = image.name;
    card.image = image;
    const frame = frameOf(image, card);
    card.fill = () => fill(frame, image);
    one(".name", card).textContent = image.label;
    addScores(card, [["typical", decimal(image.typical)]]);
    if (!image.box) one(".scores", card).append(element("span", "no box"));
    one(".pick .hidden", card).textContent = `Choose ${image.name}`;
    one(".open", card).addEventListener("click", () => enlarge(image));
    one(".pick input", card).addEventListener("change", ({ target }) => pick(image, target.checked));
    return card;
  });

  // --- Decide: each change is undone by what was before ----------------------------------------------------------

  function change(said, act) {
    taken.push({ names: [...names], moved: new Map(moved) });
    act();
    unsaved = true;
    update();
    one(".said").textContent = said;
  }

  function rename(before, after) {
    if (!after || after === before) return update();
    const merges = countGroups().some(([name]) => name === after);
    change(`${before} is ${merges ? "merged into" : "called"} ${after}`, () => {
      names.forEach((name, set) => { if (name === before) names[set] = after; });
      for (const [key, name] of moved) if (name === before) moved.set(key, after);
    });
  }

  function freshName() {
    const known = new Set([...sets, ...names, ...moved.values()]);
    let number = 1;
    while (known.has(`new group ${number}`)) number += 1;
    return `new group ${number}`;
  }

  function movePicked() {
    if (!picked.size) return;
    const group = controls.target.value.trim() || freshName();
    change(`${picked.size} images moved to ${group}`, () => {
      for (const { key, set } of picked) {
        if (names[set] === group) moved.delete(key);
        else moved.set(key, group);
      }
    });
    controls.target.value = "";
    pickNone();
  }

  function undo() {
    const before = taken.pop();
    if (!before) return;
    before.names.forEach((name, set) => { names[set] = name; });
    moved.clear();
    before.moved.forEach((group, key) => moved.set(key, group));
    unsaved = true;
    update();
  }

  function download() {
    const groups = sets.map((group, set) => ({ group, name: names[set] })).filter(({ group, name }) => group !== name);
    const decisions = [...moved].map(([name, group]) => ({ name, group }));
    const text = JSON.stringify({ ...file, groups, decisions }, null, 1) + "\n";
    const link = element("a", "");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "groups-by-hand.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    unsaved = false;
    paintControls();
    one(".said").textContent = "groups downloaded";
  }

  one(".undo").addEventListener("click", undo);
  one(".download").addEventListener("click", download);
  one(".move-chosen").addEventListener("click", movePicked);
  one(".choose-none").addEventListener("click", pickNone);
  controls.target.addEventListener("input", (event) => event.stopPropagation());
  controls.target.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    movePicked();
  });
  window.addEventListener("beforeunload", (event) => unsaved && event.preventDefault());

  // --- Strips ----------------------------------------------------------------------------------------------------

  let shown = [];

  function strip(name, number, some, others) {
    const made = one("#strip").content.firstElementChild.cloneNode(true);
    const input = one(".group-name", made);
    input.value = name;
    input.readOnly = name === UNGROUPED;
    input.addEventListener("change", () => rename(name, input.value.trim()));
    const total = `${numbers.format(number)} ${number === 1 ? "image" : "images"}`;
    one(".number", made).textContent = some.length === number ? total : `${total}, ${numbers.format(some.length)} shown`;
    one(".choose-all", made).addEventListener("click", () => some.forEach((image) => pick(image, true)));
    const merge = one(".merge select", made);
    others.filter((other) => other !== name).forEach((other) => merge.add(new Option(other, other)));
    merge.addEventListener("change", () => rename(name, merge.value));
    one(".merge", made).hidden = name === UNGROUPED;
    putInto(one(".grid", made), some.map((image) => cards[image.index]));
    return made;
  }

  function paintControls() {
    one(".undo").disabled = taken.length === 0;
    one(".undo").textContent = taken.length ? `Undo (${numbers.format(taken.length)})` : "Undo";
    one(".download").classList.toggle("pending", unsaved);
  }

  function chooseGroups(groups) {
    const before = controls.group.value;
    const options = groups.map(([name]) => new Option(name, name));
    controls.group.replaceChildren(new Option("all", ""), ...options);
    controls.group.value = groups.some(([name]) => name === before) ? before : "";
    one("#all-groups").replaceChildren(...groups.map(([name]) => new Option(name, name)));
  }

  function update() {
    const groups = countGroups();
    chooseGroups(groups);
    const query = comparable(controls.query.value.trim());
    const only = controls.group.value;
    const matching = images.filter((image) => image.searchable.includes(query) && (!only || groupOf(image) === only));
    countTabs({ all: matching.length, changed: matching.filter(isChanged).length });
    const wanted = controls.show.value === "changed" ? matching.filter(isChanged) : matching;
    const byGroup = Map.groupBy(wanted, groupOf);
    const present = groups.filter(([name]) => byGroup.has(name));
    shown = present.flatMap(([name]) => byGroup.get(name));
    for (const image of images) one(".badge", cards[image.index]).hidden = !moved.has(image.key);
    const all_names = groups.map(([name]) => name);
    const scrolled = new Map(all(".strip").map((made) => [one(".group-name", made).value, one(".grid", made).scrollLeft]));
    const strips = present.map(([name, number]) => strip(name, number, byGroup.get(name), all_names));
    one(".strips").replaceChildren(...strips);
    strips.forEach((made, place) => { one(".grid", made).scrollLeft = scrolled.get(present[place][0]) ?? 0; });
    const grouped = groups.filter(([name]) => name !== UNGROUPED).length;
    one("#images .number").textContent = numbers.format(grouped);
    one("#images").hidden = shown.length === 0;
    const alone = groups.find(([name]) => name === UNGROUPED)?.[1] ?? 0;
    const changed = images.filter(isChanged).length + hidden.length;
    const tiles = all(".tiles dd");
    [[1, grouped], [2, alone], [4, changed]].forEach(([tile, value]) => { tiles[tile].textContent = numbers.format(value); });
    paintControls();
    const conditions = [];
    if (controls.show.value !== "all") conditions.push(`“${controls.show.value}”`);
    if (only) conditions.push(`the group “${only}”`);
    if (controls.query.value.trim()) conditions.push(`“${controls.query.value.trim()}” in the name`);
    sayFiltered(shown.length, images.length, "images", conditions);
  }

  // --- The large view, and the keys ------------------------------------------------------------------------------

  function facts(image) {
    const group = groupOf(image);
    const list = [["Group", group]];
    if (group !== sets[image.set]) list.push(["Found in", sets[image.set]]);
    list.push(["Typical", decimal(image.typical)]);
    if (image.repeats !== null) list.push(["Repeats", image.repeats]);
    list.push(image.box ? ["Score", decimal(image.score)] : ["Box", "none: nothing was found"]);
    return [...list, sizeFact(image)];
  }

  function besideOf(image) {
    const button = element("button", picked.has(image) ? "Leave it out of the choice" : "Choose it");
    button.type = "button";
    button.addEventListener("click", () => {
      pick(image, !picked.has(image));
      enlarge(image);
    });
    return [button];
  }

  const { enlarge, openFromAddress } = largeView({
    shown: () => shown,
    describe: (image) => ({
      name: image.label, facts: facts(image), draw: () => drawn(image, (frame) => fill(frame, image)), beside: besideOf(image),
    }),
    buttonOf: (image) => one(".open", cards[image.index]),
  });

  // Arrow keys go from card to card, up and down from strip to strip.
  function walk(card, key) {
    const items = all(".strips .card");
    const strips = all(".strip");
    const place = strips.indexOf(card.closest(".strip"));
    const within = all(".card", strips[place]).indexOf(card);
    const below = strips[place + (key === "arrowdown" ? 1 : -1)];
    const across = below && all(".card", below);
    const next = { arrowleft: items[items.indexOf(card) - 1], arrowright: items[items.indexOf(card) + 1] }[key]
      ?? (key === "arrowup" || key === "arrowdown" ? across?.[Math.min(within, across.length - 1)] : null);
    if (next) one(".open", next).focus();
  }

  document.addEventListener("keydown", (event) => {
    const { target, ctrlKey, metaKey, altKey } = event;
    if (ctrlKey || metaKey || altKey || target.matches("[type=search], [type=text], [type=range], [type=radio], select")) return;
    const key = event.key.toLowerCase();
    const card = document.activeElement?.closest(".card");
    const image = one("dialog").open ? shown.find(({ address }) => address === location.hash) : card?.image;
    if (key === "u") undo();
    else if (key === "m" && picked.size) {
      event.preventDefault();
      controls.target.focus();
    } else if (image && key === "s") {
      pick(image, !picked.has(image));
      if (one("dialog").open) enlarge(image);
    } else if (card && key.startsWith("arrow") && !one("dialog").open) {
      event.preventDefault();
      walk(card, key);
    }
  });

  startFilters([], update);
  update();
  openFromAddress();
}
