// What both figures to touch share: elements, a chart along t, a slider, a polite summary.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element of HTML, or of SVG if the name starts with "svg:". */
function make(name, attributes = {}, ...children) {
  const element = name.startsWith("svg:")
    ? document.createElementNS(SVG, name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** What a figure is, and what to do with it. */
function makeHead(title, text) {
  return make("div", { class: "sc-head" }, make("strong", {}, title), make("p", {}, text));
}

/** Number of a figure on the page: keeps ids and names of radio buttons apart. */
function nextNumber() {
  window.scFigures = (window.scFigures ?? 0) + 1;
  return window.scFigures;
}

/** Start every figure of a kind that has not started yet; its plain picture goes. */
async function startFigures(kind, start) {
  for (const figure of document.querySelectorAll(`.sc-${kind}:not([data-started])`)) {
    figure.dataset.started = "";
    const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const panel = make("div", { class: "sc-panel" });
    await start(panel, data);
    figure.querySelector(".sc-plain").replaceWith(panel);
    figure.dataset.ready = "";
  }
}

const percent = (share) => `${(100 * share).toFixed(1)}%`;

/** Three decimals, or four digits of a large number: a loss of 77.79 needs no thousandths. */
const nats = (loss) => (loss < 10 ? loss.toFixed(3) : loss.toPrecision(4));

function place(t) {
  if (t === 0) return "parent a";
  if (t === 1) return "parent b";
  if (t === 0.5) return "halfway";
  if (t < 0) return "beyond parent a";
  if (t > 1) return "beyond parent b";
  return t < 0.5 ? "nearer to parent a" : "nearer to parent b";
}

const describe = (t) => `t = ${t.toFixed(2)}, ${place(t)}`;

/** A slider over the points of t; `move(i)` sets it, `onMove(i)` hears of it. */
function makeSlider(ts, start, onMove) {
  const id = `sc-slider-${nextNumber()}`;
  const input = make("input", { type: "range", id, min: 0, max: ts.length - 1, step: 1 });
  const shown = make("b");
  const share = (t) => (t - ts[0]) / (ts.at(-1) - ts[0]);
  const marks = [[0, "parent a"], [0.5, "halfway"], [1, "parent b"]]
    .filter(([t]) => ts[0] <= t && t <= ts.at(-1))
    .map(([t, text]) => make("span", { style: `--share: ${share(t)}` }, text));
  const set = (i) => {
    input.value = i;
    shown.textContent = describe(ts[i]);
    input.setAttribute("aria-valuetext", describe(ts[i]));
  };
  input.addEventListener("input", () => {
    set(Number(input.value));
    onMove(Number(input.value));
  });
  set(start);
  const node = make(
    "div",
    { class: "sc-slider" },
    make("label", { for: id }, "Slide from parent a to parent b:"),
    shown,
    input,
    make("div", { class: "sc-marks", "aria-hidden": "true" }, ...marks),
  );
  return { node, move: set };
}

/** Buttons of which one is pressed, as radio buttons. */
function makeChoice(legend, options, start, onChoose) {
  const name = `sc-choice-${nextNumber()}`;
  const labels = options.map(({ label, note, colour }, i) => {
    const input = make("input", { type: "radio", name, value: i });
    input.checked = i === start;
    input.addEventListener("change", () => onChoose(i));
    const words = make("span", {}, label);
    if (note) words.append(make("small", {}, note));
    return make("label", colour ? { style: `--ink: ${colour}` } : {}, input, words);
  });
  return make("fieldset", { class: "sc-choice" }, make("legend", {}, legend), ...labels);
}

/** A sentence that screen readers say once the reader has stopped moving things. */
function makeSummary() {
  const node = make("p", { class: "visually-hidden", "aria-live": "polite" });
  let waiting;
  const say = (text) => {
    clearTimeout(waiting);
    waiting = setTimeout(() => (node.textContent = text), 500);
  };
  return { node, say };
}

function linearTicks(low, high) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((f) => f * power >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high * (1 + 1e-9); k += 1) ticks.push(k * step);
  return ticks;
}

/** Give all plain numbers the same number of decimals. */
function alike(words) {
  const decimals = Math.max(0, ...words.map((word) => word.split(".")[1]?.length ?? 0));
  return words.map((word) => (Number.isNaN(Number(word)) ? word : Number(word).toFixed(decimals)));
}

function logTicks(low, high) {
  const ticks = [];
  const factors = high / low > 300 ? [1] : [1, 3];
  for (let e = Math.floor(Math.log10(low)); 10 ** e <= high; e += 1) {
    for (const f of factors) if (f * 10 ** e >= low && f * 10 ** e <= high) ticks.push(f * 10 ** e);
  }
  return ticks;
}

/**
 * A chart of lines along t. `draw({title, lines, at, level, log, words})`: a line has a colour, a
 * middle and, if it has a spread, low and high; `at` is the point of t that is marked, `level` a
 * height to compare with, `words` what is heard. Pressing or dragging calls `onPick(i)`.
 */
function makeChart(ts, height, format, onPick) {
  const margin = { left: 40, right: 18, top: 20, bottom: 24 };
  const picture = make("svg:svg", { role: "img", height });
  const heading = make("div", { class: "sc-title" });
  const node = make("div", { class: "sc-chart" }, heading, picture);
  let shown = null;

  const width = () => Math.max(node.clientWidth, 200);
  const x = (t) =>
    margin.left +
    ((t - ts[0]) / (ts.at(-1) - ts[0])) * (width() - margin.left - margin.right);

  function draw(state) {
    shown = state;
    const { title, lines, at, level, log, words } = state;
    const all = lines.flatMap((l) => [...(l.low ?? l.middle), ...(l.high ?? l.middle)]);
    all.push(level);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const scale = log ? Math.log : (v) => v;
    const room = (scale(high) - scale(low) || 1) * 0.06;
    const [bottom, top] = [scale(low) - room, scale(high) + room];
    const y = (v) =>
      margin.top + ((top - scale(v)) / (top - bottom)) * (height - margin.top - margin.bottom);
    const path = (values, back = []) =>
      [...values.map((v, i) => [ts[i], v]), ...back.map((v, i) => [ts[i], v]).reverse()]
        .map(([t, v], i) => `${i ? "L" : "M"}${x(t).toFixed(1)} ${y(v).toFixed(1)}`)
        .join("");

    const parts = [];
    const line = (x1, y1, x2, y2, kind) =>
      parts.push(make("svg:line", { x1, y1, x2, y2, class: kind }));
    const text = (tx, ty, content, kind) =>
      parts.push(make("svg:text", { x: tx, y: ty, class: kind }, content));
    const ticks = log ? logTicks(Math.exp(bottom), Math.exp(top)) : linearTicks(bottom, top);
    const named = log ? ticks.map(format) : alike(ticks.map(format));
    ticks.forEach((tick, i) => {
      line(margin.left, y(tick), width() - margin.right, y(tick), "sc-grid");
      text(margin.left - 6, y(tick) + 4, named[i], "sc-end");
    });
    for (const [t, name] of [[0, "parent a"], [1, "parent b"]]) {
      if (t < ts[0] || t > ts.at(-1)) continue;
      line(x(t), margin.top, x(t), height - margin.bottom, "sc-parent");
      text(x(t), margin.top - 7, name, "sc-middle");
    }
    for (const t of [-0.25, 0, 0.25, 0.5, 0.75, 1, 1.25]) {
      if (t >= ts[0] && t <= ts.at(-1)) text(x(t), height - 7, String(t), "sc-middle");
    }
    line(margin.left, y(level), width() - margin.right, y(level), "sc-level");
    for (const l of lines) {
      if (!l.low) continue;
      parts.push(make("svg:path", { d: `${path(l.high, l.low)}Z`, fill: l.colour, class: "sc-band" }));
    }
    for (const l of lines) {
      const kind = l.faint ? "sc-line sc-faint" : "sc-line";
      parts.push(make("svg:path", { d: path(l.middle), stroke: l.colour, class: kind }));
    }
    line(x(ts[at]), margin.top, x(ts[at]), height - margin.bottom, "sc-now");
    for (const l of lines) {
      if (l.faint) continue;
      const [cx, cy] = [x(ts[at]), y(l.middle[at])];
      parts.push(make("svg:circle", { cx, cy, r: 5, fill: l.colour, class: "sc-dot" }));
    }
    heading.textContent = title;
    picture.setAttribute("width", width());
    picture.setAttribute("aria-label", `${title}. ${words}`);
    picture.replaceChildren(...parts);
  }

  function pick(event) {
    if (event.type === "pointermove" && !event.buttons) return;
    const t = event.clientX - picture.getBoundingClientRect().left;
    const far = ts.map((value) => Math.abs(x(value) - t));
    onPick(far.indexOf(Math.min(...far)));
  }
  picture.addEventListener("pointerdown", pick);
  picture.addEventListener("pointermove", pick);
  let drawnAt = 0;
  new ResizeObserver(() => {
    if (!shown || drawnAt === width()) return;
    drawnAt = width();
    draw(shown);
  }).observe(node);
  return { node, draw };
}
