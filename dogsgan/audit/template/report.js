"use strict";
// Filters and sorts the pairs that stand on the page, and draws the table of every picture piece by piece.
// Names are a stranger's text: they only ever become text nodes.
(() => {
  const [INDEX, NAME, NEAREST, FORM, DISTANCE, P_VALUE, SIMILARITY, STATE, KIND, FAMILY, BREED, PICTURED] =
    Array(12).keys();
  const COLUMN = { name: NAME, distance: DISTANCE, p_value: P_VALUE, similarity: SIMILARITY };
  const LARGEST_FIRST = new Set(["similarity"]);
  const PIECE = 100;

  const find = (id) => document.getElementById(id);
  const rows = JSON.parse(find("findings").textContent); // nearest first
  const searched = rows.map((row) => `${row[NAME]}\n${row[NEAREST]}`.toLowerCase());
  const list = document.querySelector(".pairs");
  const cards = new Map([...list.children].map((card) => [Number(card.dataset.index), card]));
  const table = document.querySelector(".rows tbody");
  const headings = [...document.querySelectorAll(".rows th button")];
  const controls = { show: find("show"), kind: find("kind"), breed: find("breed"), text: find("text") };
  const sort = find("sort");
  const reverse = find("reverse");
  const more = find("more");

  let reversed = false;
  let chosen = []; // rows that fit, in the order to show
  let drawn = 0; // how many of them the table holds

  // ---- which rows, in which order

  const value = (control) => (control === null ? "" : control.value);

  function fitting() {
    const show = value(controls.show);
    const kind = value(controls.kind);
    const breed = value(controls.breed);
    const text = value(controls.text).trim().toLowerCase();
    return rows.filter(
      (row, place) =>
        (show === "all" || row[STATE] === show) &&
        (kind === "" || row[FAMILY] === Number(kind)) &&
        (breed === "" || row[BREED] === Number(breed)) &&
        (text === "" || searched[place].includes(text)),
    );
  }

  const names = new Intl.Collator("en", { numeric: true });

  function inOrder(some) {
    const column = COLUMN[sort.value];
    const sign = LARGEST_FIRST.has(sort.value) !== reversed ? -1 : 1;
    const compare = column === NAME ? names.compare : (a, b) => a - b;
    const known = some.filter((row) => row[column] !== null);
    const unknown = some.filter((row) => row[column] === null); // last either way
    return known.sort((a, b) => sign * compare(a[column], b[column])).concat(unknown); // stable: equals nearest first
  }

  function update() {
    chosen = inOrder(fitting());
    const shown = chosen.filter((row) => row[PICTURED]);
    arrange(shown.map((row) => cards.get(row[INDEX])));
    table.replaceChildren();
    drawn = 0;
    drawMore();
    markHeadings();
    document.querySelector(".none").hidden = shown.length > 0;
    document.querySelector(".status").textContent =
      `${count(chosen.length, "picture fits", "pictures fit")}, ` +
      `${shown.length.toLocaleString("en")} of them shown as pairs`;
  }

  const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

  // ---- the pairs

  function arrange(visible) {
    for (const card of cards.values()) card.hidden = true;
    for (const card of visible) card.hidden = false;
    list.prepend(...visible); // moves them to the front, in order
    standAt(visible[0]);
  }

  let current = null; // the one pair that the tab key reaches

  function standAt(card) {
    if (current) current.tabIndex = -1;
    current = card ?? null;
    if (current) current.tabIndex = 0;
  }

  function step(by) {
    const visible = [...list.children].filter((card) => !card.hidden);
    if (visible.length === 0) return;
    const inside = list.contains(document.activeElement);
    const place = inside ? visible.indexOf(current) + by : 0;
    const next = visible[Math.min(Math.max(place, 0), visible.length - 1)];
    standAt(next);
    next.focus();
  }

  const STEPS = { j: 1, k: -1 };
  const ARROWS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input, select, button, textarea")) return;
    const onPair = event.target.closest(".pair") !== null;
    const by = STEPS[event.key] ?? (onPair ? ARROWS[event.key] : undefined);
    if (by === undefined) return;
    event.preventDefault();
    step(by);
  });
  list.addEventListener("focusin", (event) => standAt(event.target.closest(".pair")));

  // ---- the table

  function drawMore() {
    const piece = chosen.slice(drawn, drawn + PIECE);
    table.append(...piece.map(tableRow));
    drawn += piece.length;
    more.hidden = drawn >= chosen.length;
    more.textContent = `Show more: ${(chosen.length - drawn).toLocaleString("en")} left`;
  }

  function tableRow(row) {
    const line = document.createElement("tr");
    line.className = row[STATE];
    const name = row[PICTURED] ? document.createElement("a") : document.createElement("span");
    if (row[PICTURED]) name.href = `#pair-${row[INDEX]}`;
    name.className = "file";
    name.textContent = row[NAME];
    const nearest = document.createElement("span");
    nearest.className = "file";
    nearest.textContent = row[NEAREST];
    line.append(
      cell("", name),
      cell("nearest", nearest, ` · ${row[FORM]}`),
      cell("distance", digits(row[DISTANCE], 4)),
      cell("p-value", row[P_VALUE] !== null && row[P_VALUE] < 1e-5 ? "<0.00001" : digits(row[P_VALUE], 5)),
      cell("similarity", digits(row[SIMILARITY], 3)),
      cell("verdict", verdict(row)),
    );
    return line;
  }

  function cell(label, ...content) {
    const box = document.createElement("td");
    if (label) box.dataset.label = label;
    box.append(...content);
    return box;
  }

  const digits = (number, places) => (number === null ? "–" : number.toFixed(places).replace(/^-(0\.?0*)$/, "$1"));

  function verdict(row) {
    if (row[STATE] === "unflagged") return "not flagged";
    return (row[KIND] || "flagged") + (row[STATE] === "accepted" ? ", accepted" : "");
  }

  function markHeadings() {
    for (const heading of headings) {
      const column = heading.closest("th");
      if (heading.dataset.sort !== sort.value) column.removeAttribute("aria-sort");
      else
        column.setAttribute(
          "aria-sort",
          LARGEST_FIRST.has(sort.value) !== reversed ? "descending" : "ascending",
        );
    }
  }

  // ---- what people do

  function turn(wanted) {
    reversed = wanted;
    reverse.setAttribute("aria-pressed", String(reversed));
    update();
  }

  for (const control of Object.values(controls)) control?.addEventListener("input", update);
  sort.addEventListener("input", () => turn(false));
  reverse.addEventListener("click", () => turn(!reversed));
  for (const heading of headings) {
    heading.addEventListener("click", () => {
      const again = sort.value === heading.dataset.sort;
      sort.value = heading.dataset.sort;
      turn(again && !reversed);
    });
  }
  more.addEventListener("click", drawMore);
  document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
  new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting) && !more.hidden) drawMore();
  }, { rootMargin: "600px" }).observe(more);

  document.documentElement.classList.add("scripted");
  update();
})();
