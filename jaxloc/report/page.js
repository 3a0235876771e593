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
      part.title = data.parts[number];
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
    // The first region is the whole image, and the last is the box.
    one(".steps", frame).replaceChildren(...(image.regions ?? []).slice(1, -1).map((box) => {
      const step = element("span", "", "step");
      placeBox(step, { box, width: image.width, height: image.height });
      return step;
    }));
    placeBox(one(":scope > .box", frame), image);
  }

  // EISS's two curves: scores of the region cropped and of the image with it erased, against the iteration.
  function curves({ regions }) {
    const chart = one("#curves").content.firstElementChild.cloneNode(true);
    const draw = (tag, attributes, text = "") => {
      const made = document.createElementNS(chart.namespaceURI, tag);
      for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
      made.textContent = text;
      return made;
    };
    const [left, right, top, bottom] = [34, 270, 22, 130];
    const most = Math.max(...regions.flatMap((row) => row.slice(4))) || 1;
    const x = (iteration) => left + (right - left) * iteration / Math.max(1, regions.length - 1);
    const y = (score) => bottom - (bottom - top) * score / most;
    const line = (kind, place) => draw("polyline", {
      class: kind, points: regions.map((row, iteration) => `${x(iteration).toFixed(1)},${y(row[place]).toFixed(1)}`).join(" "),
    });
    chart.append(
      draw("line", { x1: left, x2: right, y1: bottom, y2: bottom }), draw("line", { x1: left, x2: left, y1: top, y2: bottom }),
      draw("text", { x: left - 4, y: top + 4, "text-anchor": "end" }, most < 0.01 ? most.toExponential(0) : most.toFixed(2)),
      draw("text", { x: left - 4, y: bottom + 4, "text-anchor": "end" }, "0"),
      draw("text", { x: left, y: bottom + 14 }, "whole image"),
      draw("text", { x: right, y: bottom + 14, "text-anchor": "end" }, `iteration ${regions.length - 1}`),
      draw("text", { x: left, y: 12, class: "cropped" }, "region cropped"),
      draw("text", { x: right, y: 12, class: "erased", "text-anchor": "end" }, "region erased"),
      line("cropped", 4), line("erased", 5),
    );
    return chart;
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
      ...(image.probability === null ? [] : [["probability", percent(image.probability)]]),
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
    probability: (a, b) => a.probability - b.probability,
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
  for (const layer of ["share", "heat", "mask", "parts", "probability", "regions"]) {
    if (!images.some((image) => image[layer] != null)) all(`.of-${layer}`).forEach((part) => part.remove());
  }
  startFilters(sets, update);

  // --- The large view ------------------------------------------------------------------------------------------

  function facts(image) {
    const { set, box, area, score, share, status, found, probability, passes, regions } = image;
    const list = [["Set", groupName(sets[set])], ["Result", found ? "object found" : status]];
    if (found) list.push(["Score", decimal(score)]);
    if (share !== null) list.push(["Object share", `${percent(share)} of the cells`]);
    if (image.class) list.push(["Class", image.class]);
    if (probability !== null) list.push(["Probability", percent(probability)]);
    if (passes) list.push(["Passes", numbers.format(passes)]);
    if (regions) list.push(["Iterations", numbers.format(regions.length - 1)]);
    if (box) {
      list.push(boxFact(box), ["Box area", `${area < 0.01 ? "under 1" : Math.round(100 * area)} % of the image`]);
    }
    return [...list, sizeFact(image)];
  }

  const { enlarge, openFromAddress } = largeView({
    shown: () => shown,
    describe: (image) => ({ name: image.label, facts: facts(image), draw: () => drawn(image, (frame) => fill(frame, image, true)),
      beside: image.regions ? [curves(image)] : [],
    }),
    buttonOf: (image) => one("button", cards[image.index]),
  });
  update();
  openFromAddress();
}
