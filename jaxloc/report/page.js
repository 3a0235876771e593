{
  const { sets, pictures } = data;

  pictures.forEach((picture, index) => {
    const { name, set, width, height, box, status } = picture;
    picture.index = index;
    picture.address = `#picture-${index + 1}`;
    picture.found = status === "found";
    picture.area = box && Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]) / (width * height);
    picture.searchable = comparable(name);
    picture.label = sets[set] && name.startsWith(sets[set] + "/") ? name.slice(sets[set].length + 1) : name;
  });
  chooseFrame(pictures);

  // --- A picture with its heat map and box, in a card or large -------------------------------------------------

  // Above the threshold amber to red, as overlays.py draws it; below it, where asked for, a faint blue.
  const weak = [255, 193, 51, 77];
  const strong = [222, 24, 20, 166];
  const ramp = Array.from({ length: 128 }, (_, value) => weak.map((low, i) => low + (strong[i] - low) * value / 127));

  const partColours = ["#ff4fd8", "#ffe14d", "#57f287", "#ff8a3d", "#b388ff", "#e8edf2"];

  function drawHeat(canvas, { rows, columns, cells }, below) {
    const bytes = atob(cells);
    const image = new ImageData(columns, rows);
    for (let i = 0; i < bytes.length; i++) {
      const value = bytes.charCodeAt(i) << 24 >> 24;
      if (value > 0) image.data.set(ramp[value], 4 * i);
      else if (value < 0 && below) image.data.set([40, 110, 255, -0.45 * value], 4 * i);
    }
    canvas.width = columns;
    canvas.height = rows;
    canvas.getContext("2d").putImageData(image, 0, 0);
    canvas.hidden = false;
  }

  function fill(frame, picture, below) {
    if (picture.thumbnail) showImage(frame, jpeg(picture.thumbnail));
    if (picture.heat) drawHeat(one("canvas", frame), picture.heat, below);
    if (picture.mask) {
      one(".mask", frame).src = "data:image/png;base64," + picture.mask;
      one(".mask", frame).hidden = false;
    }
    one(".parts", frame).replaceChildren(...(picture.parts ?? []).map((box, number) => {
      const part = element("span", "", "part");
      part.hidden = true;
      part.title = `part ${number + 1}`;
      part.style.borderColor = partColours[number % partColours.length];
      placeBox(part, { box, width: picture.width, height: picture.height });
      return part;
    }));
    placeBox(one(".box", frame), picture);
  }

  function frameOf(picture, template) {
    const frame = one(".picture", template);
    setRatio(frame, picture.width / picture.height);
    frame.classList.toggle("without", !picture.thumbnail);
    return frame;
  }

  // --- Cards: made once; their pictures are decoded when they come near the window -------------------------------

  const cards = pictures.map((picture) => {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    card.title = picture.name;
    const frame = frameOf(picture, card);
    card.fill = () => fill(frame, picture, false);
    one(".name", card).textContent = picture.label;
    one(".set", card).textContent = groupName(sets[picture.set]);
    one(".set", card).hidden = sets.length < 2;
    const badge = one(".badge", card);
    badge.hidden = picture.found;
    badge.textContent = picture.status;
    const scores = picture.found ? [["score", picture.score]] : [];
    if (picture.noise !== null) scores.push(["noise", picture.noise]);
    for (const [name, value] of scores) {
      const score = element("span", `${name} `);
      score.append(element("b", decimal(value)));
      one(".scores", card).append(score, " ");
    }
    one("button", card).addEventListener("click", () => enlarge(picture));
    return card;
  });

  // --- Sort and filter -----------------------------------------------------------------------------------------

  let shown = [];

  const sortKeys = {
    name: (a, b) => collator.compare(a.name, b.name),
    score: (a, b) => a.score - b.score,
    noise: (a, b) => a.noise - b.noise,
    area: (a, b) => a.area - b.area,
  };

  function sorted(some) {
    const [key, direction] = controls.sort.value.split(" ");
    const sign = direction === "down" ? -1 : 1;
    const lacks = (picture) => picture[key] === null;
    return some.sort((a, b) => lacks(a) - lacks(b) || sign * sortKeys[key](a, b) || a.index - b.index);
  }

  function show(section, some) {
    section.hidden = some.length === 0;
    one(".number", section).textContent = numbers.format(some.length);
    putInto(one(".grid", section), some.map((picture) => cards[picture.index]));
  }

  function update() {
    const query = comparable(controls.query.value.trim());
    const group = controls.group.value;
    const view = controls.show.value;
    const matching = sorted(pictures.filter((p) => inGroup(p.set) && p.searchable.includes(query)));
    const found = matching.filter((picture) => picture.found);
    const absent = matching.filter((picture) => !picture.found);
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
    sayFiltered(shown.length, pictures.length, "pictures", conditions);
  }

  one(".choose-set").hidden = sets.length < 2;
  if (!pictures.some((picture) => picture.noise !== null)) all(".of-noise").forEach((part) => part.remove());
  if (!pictures.some((picture) => picture.heat)) all(".of-heat").forEach((part) => part.remove());
  if (!pictures.some((picture) => picture.mask)) all(".of-mask").forEach((part) => part.remove());
  if (!pictures.some((picture) => picture.parts)) all(".of-parts").forEach((part) => part.remove());
  startFilters(sets, update);

  // --- The large view ------------------------------------------------------------------------------------------

  function facts({ set, width, height, box, area, score, noise, status, found }) {
    const list = [["Set", groupName(sets[set])], ["Result", found ? "object found" : status]];
    if (found) list.push(["Score", decimal(score)]);
    if (noise !== null) list.push(["Noise score", decimal(noise)]);
    if (box) {
      const [x0, y0, x1, y1] = box.map((edge) => numbers.format(Math.round(edge)));
      list.push(["Box", `x ${x0} to ${x1}, y ${y0} to ${y1}`]);
      list.push(["Box area", `${area < 0.01 ? "under 1" : Math.round(100 * area)} % of the picture`]);
    }
    list.push(["Picture", `${numbers.format(width)} × ${numbers.format(height)} pixels`]);
    return list;
  }

  function draw(picture) {
    const frame = frameOf(picture, one("#card").content.cloneNode(true));
    fill(frame, picture, true);
    one("img", frame).alt = picture.name;
    return frame;
  }

  const { enlarge, openFromAddress } = largeView({
    shown: () => shown,
    describe: (picture) => ({ name: picture.label, facts: facts(picture), draw: () => draw(picture) }),
    buttonOf: (picture) => one("button", cards[picture.index]),
  });
  update();
  openFromAddress();
}
