{
  const { labels, queries, strips, images } = data;
  const thumbnails = data.thumbnails.map(jpeg);
  const frameRatio = chooseFrame(images.filter((image) => image.width));
  const ofVariance = (share) => share === null ? "" : `${(100 * share).toFixed(1)} % of the variance`;
  const ofLabel = (image) => image.label === null ? "unknown" : groupName(image.label);
  const shortName = (image) => image.label === null ? image.name : groupName(image.label);

  // --- What can be enlarged: a query, a result of one, an example of a dimension ---------------------------------

  queries.forEach((query, index) => {
    const address = `#query-${index + 1}`;
    query.index = index;
    query.image = images[query.image];
    query.name = query.image.name;
    query.searchable = comparable(`${query.name}\n${query.image.label ?? ""}`);
    query.best = query.results.length ? query.results[0][1] : null;
    const asked = { query, image: query.image, mask: query.mask, address };
    const results = query.results.map(([image, score, relevant], at) => (
      { query, image: images[image], rank: at + 1, score, relevant, address: `${address}-result-${at + 1}` }));
    query.items = [asked, ...results];
  });

  strips.forEach((strip) => {
    for (const end of ["high", "low"]) {
      strip[end] = strip[end].map(([image, value], at) => (
        { strip, end, image: images[image], rank: at + 1, value, address: `#dimension-${strip.dimension}-${end}-${at + 1}` }));
    }
  });
  const examples = strips.flatMap((strip) => [...strip.high, ...strip.low]);

  // --- An image with its mask and box, in a card or large -------------------------------------------------------

  // Darkens the cells outside the mask and draws a line around those inside.
  function drawMask(canvas, { rows, columns, cells }) {
    const bytes = atob(cells);
    const bit = (index) => bytes.charCodeAt(index >> 3) >> 7 - (index & 7) & 1;
    const inside = (row, column) => row >= 0 && row < rows && column >= 0 && column < columns && bit(row * columns + column);
    const cell = Math.max(2, Math.round(640 / Math.max(rows, columns)));
    canvas.width = columns * cell;
    canvas.height = rows * cell;
    const context = canvas.getContext("2d");
    context.fillStyle = "rgb(8 10 12 / 66%)";
    const line = new Path2D();
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const [x, y] = [column * cell, row * cell];
        if (!inside(row, column)) {
          context.fillRect(x, y, cell, cell);
          continue;
        }
        const sides = [[-1, 0, x, y, x + cell, y], [1, 0, x, y + cell, x + cell, y + cell],
          [0, -1, x, y, x, y + cell], [0, 1, x + cell, y, x + cell, y + cell]];
        for (const [down, right, x0, y0, x1, y1] of sides) {
          if (inside(row + down, column + right)) continue;
          line.moveTo(x0, y0);
          line.lineTo(x1, y1);
        }
      }
    }
    context.strokeStyle = "#ffc133";
    context.lineWidth = 5;
    context.lineCap = "round";
    context.stroke(line);
    canvas.hidden = false;
  }

  function fill(frame, { image, mask }) {
    if (image.thumbnail !== null) showImage(frame, thumbnails[image.thumbnail]);
    if (mask) drawMask(one("canvas", frame), mask);
    if (image.width) placeBox(one(".box", frame), image);
  }

  function frameOf({ image }, template) {
    const frame = one(".image", template);
    const element = one("img", frame);
    setRatio(frame, image.width ? image.width / image.height : frameRatio);
    if (!image.width) element.addEventListener("load", () => setRatio(frame, element.naturalWidth / element.naturalHeight));
    frame.classList.toggle("without", image.thumbnail === null);
    return frame;
  }

  function drawn(item) {
    const frame = frameOf(item, one("#card").content.cloneNode(true));
    fill(frame, item);
    one("img", frame).alt = item.image.name;
    return frame;
  }

  // --- Cards and rows: made once; their images are decoded when they come near the window ----------------------

  function cardOf(item, { name, label = "", badge = "", scores = [] }) {
    const card = one("#card").content.firstElementChild.cloneNode(true);
    const frame = frameOf(item, card);
    item.card = card;
    card.draw = () => fill(frame, item);
    card.title = item.image.name;
    one(".name", card).textContent = name;
    one(".label", card).textContent = label;
    one(".badge", card).textContent = badge;
    one(".badge", card).hidden = badge === "";
    addScores(card, scores);
    one("button", card).addEventListener("click", () => enlarge(item));
    return card;
  }

  function askedCard(item) {
    const { query, image } = item;
    return cardOf(item, {
      name: query.names.length ? groupName(image.label) : image.name,
      label: query.names.length ? image.name : image.label ?? "",
      badge: query.found ? "" : "no object found",
      scores: query.names.length
        ? [["score", query.names[0][1].toFixed(3)], ["margin", query.margin.toFixed(3)]]
        : query.precision === null ? [] : [["AP", query.precision.toFixed(3)]],
    });
  }

  function resultCard(item) {
    const { image, rank, score, relevant } = item;
    const card = cardOf(item, { name: shortName(image), badge: String(rank), scores: [["", decimal(score)]] });
    if (relevant !== null) {
      card.classList.add(relevant ? "relevant" : "irrelevant");
      const sign = one(".sign", card);
      sign.append(element("span", relevant ? "relevant" : "not relevant", "hidden"), relevant ? "✓" : "✗");
      sign.hidden = false;
    }
    return card;
  }

  function exampleCard(item) {
    const { image, rank, value } = item;
    return cardOf(item, { name: shortName(image), badge: String(rank), scores: [["", decimal(value)]] });
  }

  function rowOf(template) {
    const row = one(template).content.firstElementChild.cloneNode(true);
    row.fill = () => all(".card", row).forEach((card) => card.draw());
    return row;
  }

  for (const query of queries) {
    query.row = rowOf("#query");
    const [asked, ...results] = query.items;
    one(".asked", query.row).append(askedCard(asked));
    one(".strip", query.row).append(...results.map(resultCard));
    if (results.length) continue;
    const reason = query.found ? "No results." : "No object was found in this image, so nothing was searched for.";
    one(".strip", query.row).replaceWith(element("p", reason, "nothing"));
  }

  if (strips.length) {
    putInto(one(".strips"), strips.map((strip) => {
      const row = rowOf("#dimension");
      one("h3", row).append(`Dimension ${strip.dimension}`, element("span", ofVariance(strip.share)));
      const [high, low] = all(".strip", row);
      high.append(...strip.high.map(exampleCard));
      low.append(...strip.low.map(exampleCard));
      return row;
    }));
  }

  // As many columns as fit, but lines of equal length: ten results are ten or two times five.
  function balance(section, longest) {
    const strip = section && one(".strip", section);
    if (!strip) return;
    const gap = 8;
    const fitting = Math.max(1, Math.floor((strip.clientWidth + gap) / (Number(controls.size.value) + gap)));
    const lines = Math.max(1, Math.ceil(longest / fitting));
    section.style.setProperty("--columns", Math.max(1, Math.ceil(longest / lines)));
  }

  function balanceAll() {
    balance(one("#queries"), Math.max(0, ...queries.map(({ results }) => results.length)));
    balance(one("#dimensions"), Math.max(0, ...strips.map(({ high, low }) => Math.max(high.length, low.length))));
  }

  // --- Sort and filter -------------------------------------------------------------------------------------------

  let shown = [];

  const sortKeys = {
    name: (a, b) => collator.compare(a.name, b.name),
    precision: (a, b) => a.precision - b.precision,
    margin: (a, b) => a.margin - b.margin,
    best: (a, b) => a.best - b.best,
  };

  function update() {
    const text = comparable(controls.query.value.trim());
    const group = controls.group.value;
    const onlyFailed = controls.show.value === "failed";
    const matching = sortByChoice(
      queries.filter((query) => inGroup(query.label) && query.searchable.includes(text)), sortKeys);
    const failed = matching.filter((query) => query.failed);
    countTabs({ all: matching.length, failed: failed.length });
    shown = onlyFailed ? failed : matching;
    one("#queries .number").textContent = numbers.format(shown.length);
    putInto(one(".queries"), shown.map((query) => query.row));
    const conditions = [];
    if (onlyFailed) conditions.push("“failures”");
    if (group !== "") conditions.push(`the label “${groupName(labels[group])}”`);
    if (text) conditions.push(`“${controls.query.value.trim()}” in name or label`);
    sayFiltered(shown.length, queries.length, "queries", conditions);
    balanceAll();
  }

  one(".choose-label").hidden = labels.length < 2;
  if (queries.every((query) => query.precision === null)) all(".of-precision").forEach((part) => part.remove());
  const isSearch = queries.every((query) => query.margin === null);
  if (isSearch) all(".of-margin").forEach((part) => part.remove());
  all(".of-search").forEach((part) => { part.hidden = !isSearch; });
  if (queries.every((query) => !query.mask)) all(".of-mask").forEach((part) => part.remove());
  if (images.every((image) => !image.box)) all(".of-box").forEach((part) => part.remove());
  if (!queries.length && strips.length) for (const part of [form, one("#queries")]) part.hidden = true;
  controls.size.addEventListener("input", balanceAll);
  new ResizeObserver(balanceAll).observe(one("main"));
  startFilters(labels, update);

  // --- The large view --------------------------------------------------------------------------------------------

  function facts({ query, strip, end, image, rank, score, value, relevant }) {
    const list = [];
    if (strip) list.push(["Dimension", `${strip.dimension}, ${end} end`], ["Value", decimal(value)]);
    else if (rank) list.push(["Rank", numbers.format(rank)], ["Score", decimal(score)]);
    if (relevant !== undefined && relevant !== null) list.push(["Relevant", relevant ? "✓ yes" : "✗ no"]);
    if (!strip && !rank && query.names.length) {
      list.push(...query.names.map(([name, of]) => [groupName(name), of.toFixed(3)]));
    } else list.push(["Label", ofLabel(image)]);
    if (!strip && !rank && !query.names.length) {
      list.push(["Object", query.found ? "found" : "not found"]);
      if (query.precision !== null) list.push(["AP", query.precision.toFixed(3)]);
    }
    if (image.box) list.push(boxFact(image.box));
    if (image.width) list.push(sizeFact(image));
    return list;
  }

  function whereOf({ query, strip, end, rank }) {
    if (strip) return `${end === "high" ? "High" : "Low"} end, ${rank} of ${strip[end].length}`;
    if (rank) return `Result ${rank} of ${query.results.length}`;
    return `Query ${numbers.format(shown.indexOf(query) + 1)} of ${numbers.format(shown.length)}`;
  }

  // Beside a result stands its query, to compare.
  function besideOf({ query, rank }) {
    if (!query || !rank) return [];
    const caption = element("p", `Query: ${query.name}`);
    if (query.image.label !== null) caption.append(`, ${groupName(query.image.label)}`);
    return [caption, drawn(query.items[0])];
  }

  const { enlarge, openFromAddress } = largeView({
    shown: () => [...shown.flatMap((query) => query.items), ...examples],
    describe: (item) => ({
      name: item.image.name, facts: facts(item), draw: () => drawn(item), beside: besideOf(item), where: whereOf(item),
    }),
    buttonOf: (item) => one("button", item.card),
  });
  update();
  openFromAddress();
}
