"use strict";
{
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const { sets, pictures } = JSON.parse(one("#data").textContent);
  const form = one("form.controls");
  const controls = form.elements;
  const dialog = one("dialog");
  const numbers = new Intl.NumberFormat("en");
  const collator = new Intl.Collator("en", { numeric: true });
  const setName = (number) => sets[number] || "(unnamed)";
  const comparable = (text) => text.normalize("NFC").toLowerCase();
  const hasHeat = pictures.some((picture) => picture.heat);
  const hasNoise = pictures.some((picture) => picture.noise !== null);

  pictures.forEach((picture, index) => {
    const { name, set, width, height, box, status } = picture;
    picture.index = index;
    picture.found = status === "found";
    picture.area = box && Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]) / (width * height);
    picture.searchable = comparable(name);
    picture.label = sets[set] && name.startsWith(sets[set] + "/") ? name.slice(sets[set].length + 1) : name;
  });

  // --- A picture with its heat map and box, in a card or large -------------------------------------------------

  // Above the threshold amber to red, as overlays.py draws it; below it, where asked for, a faint blue.
  const weak = [255, 193, 51, 77];
  const strong = [222, 24, 20, 166];
  const ramp = Array.from({ length: 128 }, (_, value) => weak.map((low, i) => low + (strong[i] - low) * value / 127));

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

  function placeBox(element, { box, width, height }) {
    if (!box) return;
    const [x0, y0, x1, y1] = box;
    element.style.left = `${100 * x0 / width}%`;
    element.style.top = `${100 * y0 / height}%`;
    element.style.width = `${100 * (x1 - x0) / width}%`;
    element.style.height = `${100 * (y1 - y0) / height}%`;
    element.hidden = false;
  }

  function fill(frame, picture, below) {
    const image = one("img", frame);
    if (picture.thumbnail) {
      image.src = "data:image/jpeg;base64," + picture.thumbnail;
      image.hidden = false;
    }
    if (picture.heat) drawHeat(one("canvas", frame), picture.heat, below);
    placeBox(one(".box", frame), picture);
  }

  // --- Cards: made once; their pictures are decoded when they come near the window -------------------------------

  const ratios = pictures.map(({ width, height }) => width / height).sort((a, b) => a - b);
  const frameRatio = Math.min(1.5, Math.max(0.75, ratios[ratios.length >> 1] || 1));
  document.documentElement.style.setProperty("--frame", frameRatio);
  const near = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => reveal(entry.target)),
    { rootMargin: "800px" });

  function reveal(card) {
    near.unobserve(card);
    if (card.revealed) return;
    card.revealed = true;
    fill(card, pictures[card.index], false);
  }

  function frameOf(picture, template) {
    const frame = one(".picture", template);
    const ratio = picture.width / picture.height;
    frame.style.aspectRatio = ratio;
    frame.style.setProperty("--ratio", ratio);
    frame.classList.toggle("without", !picture.thumbnail);
    return frame;
  }

  const cards = pictures.map((picture) => {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    card.index = picture.index;
    card.title = picture.name;
    frameOf(picture, card).style.width = `${100 * Math.min(1, picture.width / picture.height / frameRatio)}%`;
    one(".name", card).textContent = picture.label;
    one(".set", card).textContent = setName(picture.set);
    one(".set", card).hidden = sets.length < 2;
    const badge = one(".badge", card);
    badge.hidden = picture.found;
    badge.textContent = picture.status;
    const scores = picture.found ? [["score", picture.score]] : [];
    if (picture.noise !== null) scores.push(["noise", picture.noise]);
    for (const [name, value] of scores) {
      const strongText = document.createElement("b");
      strongText.textContent = decimal(value);
      const score = document.createElement("span");
      score.append(`${name} `, strongText);
      one(".scores", card).append(score, " ");
    }
    one("button", card).addEventListener("click", () => enlarge(picture));
    return card;
  });

  function decimal(value) {
    return value === null ? "–" : value.toFixed(2);
  }

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
    one(".grid", section).replaceChildren(...some.map((picture) => cards[picture.index]));
    for (const picture of some) {
      if (!cards[picture.index].revealed) near.observe(cards[picture.index]);
    }
  }

  function update() {
    const query = comparable(controls.query.value.trim());
    const set = controls.set.value;
    const view = controls.show.value;
    const inSet = (number) => set === "" || String(number) === set;
    const matching = sorted(pictures.filter((p) => inSet(p.set) && p.searchable.includes(query)));
    const found = matching.filter((picture) => picture.found);
    const absent = matching.filter((picture) => !picture.found);
    const tabs = { all: matching.length, found: found.length, absent: absent.length };
    for (const tab of all("[name=show]", form)) {
      one("b", tab.parentElement).textContent = numbers.format(tabs[tab.value]);
    }
    const foundShown = view === "absent" ? [] : found;
    const absentShown = view === "found" ? [] : absent;
    shown = [...foundShown, ...absentShown];
    show(one("#found"), foundShown);
    show(one("#absent"), absentShown);
    const skipped = one("#skipped");
    if (skipped) {
      for (const row of all("tbody tr", skipped)) {
        row.hidden = !(inSet(row.dataset.set) && comparable(row.cells[0].textContent).includes(query));
      }
      skipped.hidden = all("tbody tr:not([hidden])", skipped).length === 0;
    }
    for (const row of all(".sets tbody tr")) {
      one("button", row).setAttribute("aria-pressed", row.dataset.set === set);
    }
    const conditions = [];
    if (view !== "all") conditions.push(view === "found" ? "“object found”" : "“object not found”");
    if (set !== "") conditions.push(`the set “${setName(set)}”`);
    if (query) conditions.push(`“${controls.query.value.trim()}” in the name`);
    one(".count").textContent = conditions.length
      ? `${numbers.format(shown.length)} of ${numbers.format(pictures.length)} pictures: ${conditions.join(", ")}` : "";
    one(".empty").hidden = shown.length > 0;
    const why = conditions.length ? [`None matches ${conditions.join(" and ")}.`] : [];
    if (one(".limit")) why.push(one(".limit").textContent);
    one(".empty .why").textContent = why.join(" ");
    one(".empty .clear").hidden = conditions.length === 0;
  }

  sets.forEach((_, number) => controls.set.add(new Option(setName(number), number)));
  one(".choose-set").hidden = sets.length < 2;
  all(".of-noise").forEach((element) => hasNoise || element.remove());
  all(".of-heat").forEach((element) => hasHeat || element.remove());
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target === controls.size) document.documentElement.style.setProperty("--side", `${controls.size.value}px`);
    else if (!event.target.dataset.toggle) update();
  });
  for (const row of all(".sets tbody tr")) {
    one("button", row).addEventListener("click", () => {
      controls.set.value = controls.set.value === row.dataset.set ? "" : row.dataset.set;
      update();
    });
  }
  one(".clear").addEventListener("click", () => {
    controls.query.value = controls.set.value = "";
    controls.show.value = "all";
    update();
    controls.query.focus();
  });

  function toggle(name, on) {
    document.documentElement.classList.toggle(`no-${name}`, !on);
    all(`[data-toggle=${name}]`).forEach((box) => { box.checked = on; });
  }

  document.addEventListener("change", ({ target }) => target.dataset.toggle && toggle(target.dataset.toggle, target.checked));
  toggle("smooth", false);

  // --- The large view ------------------------------------------------------------------------------------------

  let current = null;

  function facts({ set, width, height, box, area, score, noise, status, found }) {
    const list = [["Set", setName(set)], ["Result", found ? "object found" : status]];
    if (found) list.push(["Score", decimal(score)]);
    if (noise !== null) list.push(["Noise score", decimal(noise)]);
    if (box) {
      const [x0, y0, x1, y1] = box.map((edge) => numbers.format(Math.round(edge)));
      list.push(["Box", `x ${x0} to ${x1}, y ${y0} to ${y1}`]);
      list.push(["Box area", `${area < 0.01 ? "under 1" : Math.round(100 * area)} % of the picture`]);
    }
    list.push(["Picture", `${numbers.format(width)} × ${numbers.format(height)} pixels`]);
    return list.flatMap(([name, value]) => {
      const [term, description] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      description.textContent = value;
      return [term, description];
    });
  }

  function enlarge(picture) {
    current = picture;
    const place = shown.indexOf(picture);
    const frame = frameOf(picture, one("#card").content.cloneNode(true));
    fill(frame, picture, true);
    one("img", frame).alt = picture.name;
    one(".stage").replaceChildren(frame);
    one("#large-name").textContent = picture.label;
    one(".facts").replaceChildren(...facts(picture));
    one(".place").textContent = `${numbers.format(place + 1)} of ${numbers.format(shown.length)}`;
    one(".previous").disabled = place <= 0;
    one(".next").disabled = place === shown.length - 1;
    if (!dialog.open) dialog.showModal();
    remember(`#picture-${picture.index + 1}`);
  }

  function step(by) {
    const next = shown[shown.indexOf(current) + by];
    if (next) enlarge(next);
  }

  // The address names the enlarged picture; a page inside a notebook has no address to change.
  function remember(hash) {
    if (location.protocol !== "about:") history.replaceState(null, "", hash);
  }

  function openFromAddress() {
    const picture = pictures[Number(location.hash.replace("#picture-", "")) - 1];
    if (picture && shown.includes(picture)) enlarge(picture);
  }

  one(".previous").addEventListener("click", () => step(-1));
  one(".next").addEventListener("click", () => step(1));
  one(".close").addEventListener("click", () => dialog.close());
  one(".stage").addEventListener("click", ({ target }) => target === one(".stage") && dialog.close());
  dialog.addEventListener("close", () => {
    remember(location.pathname + location.search);
    one("button", cards[current.index]).focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("[type=search], [type=range], select")) return;
    const key = event.key.toLowerCase();
    const toggled = { b: "box", h: "heat", s: "smooth" }[key];
    if (toggled && (toggled === "box" || hasHeat)) toggle(toggled, document.documentElement.classList.contains(`no-${toggled}`));
    else if (dialog.open && (key === "arrowleft" || key === "arrowright")) {
      event.preventDefault();
      step(key === "arrowleft" ? -1 : 1);
    }
  });
  window.addEventListener("beforeprint", () => shown.forEach((picture) => reveal(cards[picture.index])));
  window.addEventListener("hashchange", openFromAddress);
  update();
  openFromAddress();
}
