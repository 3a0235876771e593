{
  const { sets, levels, images } = data;

  // Hues a golden angle apart stay apart however many kinds there are.
  const colour = (kind) => `hsl(${(137.508 * kind) % 360} 90% ${kind % 2 ? 68 : 55}%)`;

  images.forEach((image, index) => {
    image.index = index;
    image.address = `#image-${index + 1}`;
    image.searchable = comparable(image.name);
    image.number = image.items.length;
    const counts = new Map();
    for (const [kind] of image.items) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    image.counts = [...counts].sort(([a, x], [b, y]) => y - x || a - b);
  });
  chooseFrame(images);

  // --- An image with its boxes and counts, in a card or large ------------------------------------------------------

  function fill(frame, image) {
    if (image.thumbnail) showImage(frame, jpeg(image.thumbnail));
    one(".items", frame).replaceChildren(...image.items.map(([kind, x0, y0, x1, y1, score]) => {
      const item = element("span", "", "item");
      item.style.setProperty("--kind", colour(kind));
      item.title = score === undefined ? sets[kind] : `${sets[kind]}, score ${decimal(score)}`;
      placeBox(item, { box: [x0, y0, x1, y1], width: image.width, height: image.height });
      return item;
    }));
  }

  const tally = ({ counts }) => counts.map(([kind, number]) => {
    const line = element("span", "");
    line.style.setProperty("--kind", colour(kind));
    line.append(document.createElement("i"), element("b", `${numbers.format(number)} ×`), ` ${groupName(sets[kind])}`);
    return line;
  });

  const cards = images.map((image) => {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    card.title = image.name;
    const frame = frameOf(image, card);
    card.fill = () => fill(frame, image);
    one(".name", card).textContent = image.name;
    one(".badge", card).hidden = !image.level;
    one(".badge", card).textContent = image.level;
    one(".tally", card).append(...tally(image));
    addScores(card, [["items", numbers.format(image.number)], ["kinds", numbers.format(image.counts.length)]]);
    one("button", card).addEventListener("click", () => enlarge(image));
    return card;
  });

  // --- Sort and filter -----------------------------------------------------------------------------------------

  let shown = [];

  const sortKeys = { name: (a, b) => collator.compare(a.name, b.name), number: (a, b) => a.number - b.number };

  function update() {
    const query = comparable(controls.query.value.trim());
    const group = controls.group.value;
    const view = controls.show.value;
    const has = (image) => group === "" || image.counts.some(([kind]) => inGroup(kind));
    const matching = sortByChoice(images.filter((image) => has(image) && image.searchable.includes(query)), sortKeys);
    const of = (level) => matching.filter((image) => level === "all" || image.level === level);
    countTabs(Object.fromEntries(levels.map((level) => [level, of(level).length])));
    shown = of(view);
    one("#images").hidden = shown.length === 0;
    one("#images .number").textContent = numbers.format(shown.length);
    putInto(one(".grid"), shown.map((image) => cards[image.index]));
    const conditions = [];
    if (view !== "all") conditions.push(`“${view}”`);
    if (group !== "") conditions.push(`with “${groupName(sets[group])}”`);
    if (query) conditions.push(`“${controls.query.value.trim()}” in the name`);
    sayFiltered(shown.length, images.length, "images", conditions);
  }

  one(".tabs").hidden = levels.length < 3; // "all" and a single level show the same
  startFilters(sets, update);

  // --- The large view ------------------------------------------------------------------------------------------

  function facts(image) {
    const list = image.level ? [["Level", image.level]] : [];
    list.push(["Items", numbers.format(image.number)], ["Kinds", numbers.format(image.counts.length)]);
    return [...list, sizeFact(image)];
  }

  function beside(image) {
    const list = element("div", "", "tally");
    list.append(...tally(image));
    return [list];
  }

  const { enlarge, openFromAddress } = largeView({
    shown: () => shown,
    describe: (image) => ({ name: image.name, facts: facts(image), draw: () => drawn(image, (frame) => fill(frame, image)), beside: beside(image) }),
    buttonOf: (image) => one("button", cards[image.index]),
  });
  update();
  openFromAddress();
}
