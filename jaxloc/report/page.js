{
  const { sets, images } = data;

  images.forEach((image, index) => {
    const { width, height, box, status } = image;
    prepare(image, index, sets);
    image.found = status === "found";
    image.area = box && Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]) / (width * height);
  });
  chooseFrame(images);

  // --- An image with its heat map and box, in a card or large -------------------------------------------------

  // Above the threshold amber to red, as overlays.py draws it; below it, where asked for, a faint blue.
  const weak = [255, 193, 51, 77];
  const strong = [222, 24, 20, 166];
  const ramp = Array.from({ length: 128 }, (_, value) => weak.map((low, i) => low + (strong[i] - low) * value / 127));

  const partColours = ["#ff4fd8", "#ffe14d", "#57f287", "#ff8a3d", "#b388ff", "#e8edf2"];

  function drawHeat(canvas, { rows, columns, cells }, below) {
    const bytes = atob(cells);
    const pixels = new ImageData(columns, rows);
    for (let i = 0; i < bytes.length; i++) {
      const value = bytes.charCodeAt(i) << 24 >> 24;
      if (value > 0) pixels.data.set(ramp[value], 4 * i);
      else if (value < 0 && below) pixels.data.set([40, 110, 255, -0.45 * value], 4 * i);
    }
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    canvas.hidden = false;
  }

  function fill(frame, image, below) {
    if (image.thumbnail) showImage(frame, jpeg(image.thumbnail));
    if (image.heat) drawHeat(one("canvas", frame), image.heat, below);
    if (image.mask) {
      one(".mask", frame).src = "data:image/png;base64," + image.mask;
      one(".mask", frame).hidden = false;
    }
    one(".parts", frame).replaceChildren(...(image.parts ?? []).map((box, number) => {
      const part = element("span", "", "part");
      part.hidden = true;
      part.title = `part ${number + 1}`;
      part.style.borderColor = partColours[number % partColours.length];
      placeBox(part, { box, width: image.width, height: image.height });
      return part;
    }));
    one(".objects", frame).replaceChildren(...(image.objects ?? []).map((box) => {
      const region = element("span", "", "box region");
      region.hidden = true;
      placeBox(region, { box, width: image.width, height: image.height });
      return region;
    }));
    placeBox(one(":scope > .box", frame), image);
  }

  // --- Cards: made once; their images are decoded when they come near the window -------------------------------

  const cards = images.map((image) => {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    card.title = image.name;
    const frame = frameOf(image, card);
    card.fill = () => fill(frame, image, false);
    one(".name", card).textContent = image.label;
    one(".set", card).textContent = groupName(sets[image.set]);
    one(".set", card).hidden = sets.length < 2;
    const badge = one(".badge", card);
    badge.hidden = image.found;
    badge.textContent = image.status;
    addScores(card, [
      ...(image.found ? [["score", decimal(image.score)]] : []),
      ...(image.share === null ? [] : [["object share", percent(image.share)]]),
    ]);
    one("button", card).addEventListener("click", () => enlarge(image));
    return card;
  });

  // --- Sort and filter -----------------------------------------------------------------------------------------

  let shown = [];

  const sortKeys = {
    name: (a, b) => collator.compare(a.name, b.name),
    score: (a, b) => a.score - b.score,
    share: (a, b) => a.share - b.share,
    area: (a, b) => a.area - b.area,
  };

  function show(section, some) {
    section.hidden = some.length === 0;
    one(".number", section).textContent = numbers.format(some.length);
    putInto(one(".grid", section), some.map((image) => cards[image.index]));
  }

  function update() {
    const query = comparable(controls.query.value.trim());
    const group = controls.group.value;
    const view = controls.show.value;
    const matching = sortByChoice(images.filter((p) => inGroup(p.set) && p.searchable.includes(query)), sortKeys);
    const found = matching.filter((image) => image.found);
    const absent = matching.filter((image) => !image.found);
    countTabs({ all: matching.length, found: found.length, absent: absent.length });
    const foundShown = view === "absent" ? [] : found;
    const absentShown = view === "found" ? [] : absent;
    shown = [...foundShown, ...absentShown];
    show(one("#found"), foundShown);
    show(one("#absent"), absentShown);
    const skipped = one("#skipped");
    if (skipped) {
      for (const row of all("tbody tr", skipped)) {
        row.hidden = !(inGroup(row.dataset.group) && comparable(row.cells[0].textContent).includes(query));
      }
      skipped.hidden = all("tbody tr:not([hidden])", skipped).length === 0;
    }
    const conditions = [];
    if (view !== "all") conditions.push(view === "found" ? "“object found”" : "“object not found”");
    if (group !== "") conditions.push(`the set “${groupName(sets[group])}”`);
    if (query) conditions.push(`“${controls.query.value.trim()}” in the name`);
    sayFiltered(shown.length, images.length, "images", conditions);
  }

  one(".choose-set").hidden = sets.length < 2;
  for (const layer of ["share", "heat", "mask", "parts"]) {
    if (!images.some((image) => image[layer] != null)) all(`.of-${layer}`).forEach((part) => part.remove());
  }
  startFilters(sets, update);

  // --- The large view ------------------------------------------------------------------------------------------

  function facts(image) {
    const { set, box, area, score, share, status, found } = image;
    const list = [["Set", groupName(sets[set])], ["Result", found ? "object found" : status]];
    if (found) list.push(["Score", decimal(score)]);
    if (share !== null) list.push(["Object share", `${percent(share)} of the cells`]);
    if (box) {
      list.push(boxFact(box), ["Box area", `${area < 0.01 ? "under 1" : Math.round(100 * area)} % of the image`]);
    }
    return [...list, sizeFact(image)];
  }

  const { enlarge, openFromAddress } = largeView({
    shown: () => shown,
    describe: (image) => ({ name: image.label, facts: facts(image), draw: () => drawn(image, (frame) => fill(frame, image, true)) }),
    buttonOf: (image) => one("button", cards[image.index]),
  });
  update();
  openFromAddress();
}
