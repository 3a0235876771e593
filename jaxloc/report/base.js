"use strict";
// What every page does: images with a box and layers to switch, filters by name and group, the large view.

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const data = JSON.parse(one("#data").textContent);
const form = one("form.controls");
const controls = form.elements;
const numbers = new Intl.NumberFormat("en");
const collator = new Intl.Collator("en", { numeric: true });
const comparable = (text) => text.normalize("NFC").toLowerCase();
const decimal = (value) => value === null ? "–" : value.toFixed(2).replace("-", "−");
// Thresholds lie among small shares, so these get a decimal more.
const percent = (share) => `${(100 * share).toFixed(share < 0.2 ? 1 : 0)} %`;
const jpeg = (base64) => "data:image/jpeg;base64," + base64;
const groupName = (name) => name || "(unnamed)";

function element(tag, text, kind) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

// --- Images ----------------------------------------------------------------------------------------------------

// What every image gets: its place, its address, its name as it is searched, and its name without that of its set.
function prepare(image, index, sets) {
  const { name, set } = image;
  image.index = index;
  image.address = `#image-${index + 1}`;
  image.searchable = comparable(name);
  image.label = name.startsWith(`${sets[set]}/`) ? name.slice(sets[set].length + 1) : name;
}

// Width by height of every card's frame: that of the middle image, within reason.
function chooseFrame(images) {
  const ratios = images.map(({ width, height }) => width / height).sort((a, b) => a - b);
  const ratio = Math.min(1.5, Math.max(0.75, ratios[ratios.length >> 1] || 1));
  document.documentElement.style.setProperty("--frame", ratio);
  return ratio;
}

function setRatio(frame, ratio) {
  frame.style.aspectRatio = ratio;
  frame.style.setProperty("--ratio", ratio);
}

function showImage(frame, address) {
  const element = one("img", frame);
  element.src = address;
  element.hidden = false;
}

function placeBox(marker, { box, width, height }) {
  if (!box) return;
  const [x0, y0, x1, y1] = box;
  marker.style.left = `${100 * x0 / width}%`;
  marker.style.top = `${100 * y0 / height}%`;
  marker.style.width = `${100 * (x1 - x0) / width}%`;
  marker.style.height = `${100 * (y1 - y0) / height}%`;
  marker.hidden = false;
}

function frameOf({ width, height, thumbnail }, template) {
  const frame = one(".image", template);
  setRatio(frame, width / height);
  frame.classList.toggle("without", !thumbnail);
  return frame;
}

// An image in a frame of its own, for the large view; `fill` draws into the frame.
function drawn(image, fill) {
  const frame = frameOf(image, one("#card").content.cloneNode(true));
  fill(frame);
  one("img", frame).alt = image.name;
  return frame;
}

function addScores(card, scores) {
  for (const [term, value] of scores) {
    const score = element("span", term ? `${term} ` : "");
    score.append(element("b", value));
    one(".scores", card).append(score, " ");
  }
}

function boxFact([x0, y0, x1, y1]) {
  const [left, top, right, bottom] = [x0, y0, x1, y1].map((edge) => numbers.format(Math.round(edge)));
  return ["Box", `x ${left} to ${right}, y ${top} to ${bottom}`];
}

const sizeFact = ({ width, height }) => ["Image", `${numbers.format(width)} × ${numbers.format(height)} pixels`];

// Sorts by the key and direction that are chosen; items that lack the key come last.
function sortByChoice(items, sortKeys) {
  const [key, direction] = controls.sort.value.split(" ");
  const sign = direction === "down" ? -1 : 1;
  const lacks = (item) => item[key] === null;
  return items.sort((a, b) => lacks(a) - lacks(b) || sign * sortKeys[key](a, b) || a.index - b.index);
}

// A list item's images are drawn by its `fill`, once, when it comes near the window.
const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => reveal(entry.target)),
  { rootMargin: "800px" });

function reveal(item) {
  near.unobserve(item);
  const { fill } = item;
  item.fill = null;
  fill?.();
}

function putInto(list, items) {
  list.replaceChildren(...items);
  items.filter((item) => item.fill).forEach((item) => near.observe(item));
}

window.addEventListener("beforeprint", () => all("main li").forEach(reveal));

// --- Layers to switch ----------------------------------------------------------------------------------------------

function toggle(name, on) {
  document.documentElement.classList.toggle(`no-${name}`, !on);
  all(`[data-toggle=${name}]`).forEach((box) => { box.checked = on; });
}

for (const box of all("[data-toggle]", form)) toggle(box.dataset.toggle, box.checked);
document.addEventListener("change", ({ target }) => target.dataset.toggle && toggle(target.dataset.toggle, target.checked));

// --- Filters -------------------------------------------------------------------------------------------------------

function startFilters(groups, update) {
  groups.forEach((name, number) => controls.group.add(new Option(groupName(name), number)));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", ({ target }) => target === controls.size || target.dataset.toggle || update());
  controls.size.addEventListener("input", () => document.documentElement.style.setProperty("--side", `${controls.size.value}px`));
  for (const row of all(".groups tbody tr")) {
    one("button", row).addEventListener("click", () => {
      controls.group.value = controls.group.value === row.dataset.group ? "" : row.dataset.group;
      update();
    });
  }
  one(".clear").addEventListener("click", () => {
    controls.query.value = controls.group.value = "";
    controls.show.value = "all";
    update();
    controls.query.focus();
  });
}

const inGroup = (number) => controls.group.value === "" || String(number) === controls.group.value;

function countTabs(counts) {
  for (const tab of all("[name=show]", form)) one("b", tab.parentElement).textContent = numbers.format(counts[tab.value]);
}

function sayFiltered(shown, total, noun, conditions) {
  for (const row of all(".groups tbody tr")) {
    one("button", row).setAttribute("aria-pressed", row.dataset.group === controls.group.value);
  }
  one(".count").textContent = conditions.length
    ? `${numbers.format(shown)} of ${numbers.format(total)} ${noun}: ${conditions.join(", ")}` : "";
  one(".empty").hidden = shown > 0;
  const why = conditions.length ? [`None matches ${conditions.join(" and ")}.`] : [];
  if (one(".limit")) why.push(one(".limit").textContent);
  one(".empty .why").textContent = why.join(" ");
  one(".empty .clear").hidden = conditions.length === 0;
}

// --- The large view ------------------------------------------------------------------------------------------------

// The address names the enlarged item; a page inside a notebook has no address to change.
function remember(hash) {
  if (location.protocol !== "about:") history.replaceState(null, "", hash);
}

// Enlarges items, each with its own `address`, and walks over them. Of the page it needs `shown()`, the items in order;
// `describe(item)`: name, facts, how to draw it, and where it stands; `buttonOf(item)`, which gets the focus back.
function largeView({ shown, describe, buttonOf }) {
  const dialog = one("dialog");
  let current = null;

  function enlarge(item) {
    current = item;
    const items = shown();
    const place = items.indexOf(item);
    const { name, facts, draw, beside = [], where } = describe(item);
    one(".stage").replaceChildren(draw());
    one("#large-name").textContent = name;
    one(".facts").replaceChildren(...facts.flatMap(([term, value]) => [element("dt", term), element("dd", value)]));
    one(".beside").replaceChildren(...beside);
    one(".place").textContent = where || `${numbers.format(place + 1)} of ${numbers.format(items.length)}`;
    one(".previous").disabled = place <= 0;
    one(".next").disabled = place === items.length - 1;
    if (!dialog.open) dialog.showModal();
    remember(item.address);
  }

  function step(by) {
    const items = shown();
    const next = items[items.indexOf(current) + by];
    if (next) enlarge(next);
  }

  function openFromAddress() {
    const item = shown().find((some) => some.address === location.hash);
    if (item) enlarge(item);
  }

  one(".previous").addEventListener("click", () => step(-1));
  one(".next").addEventListener("click", () => step(1));
  one(".close").addEventListener("click", () => dialog.close());
  one(".stage").addEventListener("click", ({ target }) => target === one(".stage") && dialog.close());
  dialog.addEventListener("close", () => {
    remember(location.pathname + location.search);
    buttonOf(current).focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("[type=search], [type=text], [type=range], select")) return;
    const key = event.key.toLowerCase();
    const box = all("form [data-key]").find((some) => some.dataset.key === key);
    if (box) toggle(box.dataset.toggle, !box.checked);
    else if (dialog.open && (key === "arrowleft" || key === "arrowright")) {
      event.preventDefault();
      step(key === "arrowleft" ? -1 : 1);
    }
  });
  window.addEventListener("hashchange", openFromAddress);
  return { enlarge, openFromAddress };
}
