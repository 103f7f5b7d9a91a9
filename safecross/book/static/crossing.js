// Two trained networks and their child: draw a digit, slide along t, line the neurons up or not.

/** Return the bytes of zlib-compressed base64. */
async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

/** Return [{weight, bias, rows, columns}] for each layer of each network, as 32-bit floats. */
function readNetworks(whole, widths, scales) {
  let start = 0;
  const take = (size, scale) => {
    const part = Float32Array.from(whole.subarray(start, start + size), (q) => q * scale);
    start += size;
    return part;
  };
  return scales.map((ofNetwork) =>
    widths.slice(1).map((columns, d) => {
      const rows = widths[d];
      const [ofWeight, ofBias] = ofNetwork[d];
      return { rows, columns, weight: take(rows * columns, ofWeight), bias: take(columns, ofBias) };
    }),
  );
}

/** Return x W + b for n rows of x. */
function affine(x, n, { weight, bias, rows, columns }) {
  const out = new Float32Array(n * columns);
  const sum = new Float64Array(columns);
  for (let i = 0; i < n; i += 1) {
    sum.set(bias);
    for (let k = 0; k < rows; k += 1) {
      const value = x[i * rows + k];
      if (value === 0) continue;
      for (let j = 0; j < columns; j += 1) sum[j] += value * weight[k * columns + j];
    }
    out.set(sum, i * columns);
  }
  return out;
}

/** Reorder a layer's inputs and outputs (Algorithm 2); null leaves them. */
function permuteLayer({ weight, bias, rows, columns }, ins, outs) {
  const [from, to] = [(k) => (ins ? ins[k] : k), (j) => (outs ? outs[j] : j)];
  return {
    rows,
    columns,
    weight: weight.map((_, i) => weight[from(Math.floor(i / columns)) * columns + to(i % columns)]),
    bias: bias.map((_, j) => bias[to(j)]),
  };
}

const mix = (a, b, t) => a.map((value, i) => (1 - t) * value + t * b[i]);
const mixLayers = (a, b, t) =>
  a.map((layer, d) => ({
    ...layer,
    weight: mix(layer.weight, b[d].weight, t),
    bias: mix(layer.bias, b[d].bias, t),
  }));

function forward(z, n, layers) {
  return layers.reduce((below, layer) => affine(below.map((v) => Math.max(v, 0)), n, layer), z);
}

/** The child of two networks under one alignment. */
class Crossing {
  constructor([a, b], { la, lb }) {
    this.first = [la[0], lb[0]];
    const above = (layers, lists) =>
      layers.slice(1).map((layer, d) => permuteLayer(layer, lists[d], lists[d + 1] ?? null));
    this.above = [above(a, la), above(b, lb)];
  }

  /** Logits of n examples whose first layer before its ReLU is za, zb in the parents (Eq. 3). */
  logits([za, zb], n, t) {
    const [la, lb] = this.first;
    const p = la.length;
    const z = new Float32Array(n * p);
    for (let i = 0; i < n; i += 1) {
      for (let j = 0; j < p; j += 1) {
        z[i * p + j] = (1 - t) * za[i * p + la[j]] + t * zb[i * p + lb[j]];
      }
    }
    return forward(z, n, mixLayers(...this.above, t));
  }
}

function softmax(logits) {
  const top = Math.max(...logits);
  const powers = Array.from(logits, (z) => Math.exp(z - top));
  const sum = powers.reduce((a, b) => a + b);
  return powers.map((power) => power / sum);
}

const largest = (values) => values.indexOf(Math.max(...values));

function share(logits, labels, classes) {
  const right = labels.filter(
    (label, i) => largest(Array.from(logits.subarray(i * classes, (i + 1) * classes))) === label,
  );
  return right.length / labels.length;
}

/**
 * Turn strokes into an image as MNIST's were made: fitted into 20 x 20 of 28 x 28 pixels, the
 * centre of mass in the middle, grey levels from 0 to 255.
 */
function rasterise(strokes, [h, w]) {
  const points = strokes.flat();
  const radius = 0.05 * h;
  const ends = [0, 1].map((k) => points.map((p) => p[k]));
  const [low, high] = [ends.map((e) => Math.min(...e)), ends.map((e) => Math.max(...e))];
  const extent = Math.max(high[0] - low[0], high[1] - low[1]);
  const factor = Math.min((h * 20) / 28 - 2 * radius, 4 * h * extent) / (extent || 1);
  const paint = (shift) => {
    const image = new Uint8Array(h * w);
    const fitted = strokes.map((stroke) =>
      stroke.map(([x, y]) => [
        (x - (low[0] + high[0]) / 2) * factor + w / 2 + shift[0],
        (y - (low[1] + high[1]) / 2) * factor + h / 2 + shift[1],
      ]),
    );
    for (let i = 0; i < h * w; i += 1) {
      const centre = [(i % w) + 0.5, Math.floor(i / w) + 0.5];
      const near = Math.min(...fitted.map((stroke) => distance(centre, stroke)));
      image[i] = Math.round(255 * Math.min(Math.max(radius + 0.5 - near, 0), 1));
    }
    return image;
  };
  const image = paint([0, 0]);
  const mass = image.reduce((a, b) => a + b, 0) || 1;
  const centre = [0, 0];
  image.forEach((v, i) => {
    centre[0] += (v * ((i % w) + 0.5)) / mass;
    centre[1] += (v * (Math.floor(i / w) + 0.5)) / mass;
  });
  return paint([Math.round(w / 2 - centre[0]), Math.round(h / 2 - centre[1])]);
}

/** Distance of a point from a line through points. */
function distance([px, py], stroke) {
  let least = Infinity;
  for (let k = 0; k < stroke.length; k += 1) {
    const [ax, ay] = stroke[k];
    const [bx, by] = stroke[k + 1] ?? stroke[k];
    const [dx, dy] = [bx - ax, by - ay];
    const along = ((px - ax) * dx + (py - ay) * dy) / (dx * dx + dy * dy || 1);
    const s = Math.min(Math.max(along, 0), 1);
    least = Math.min(least, Math.hypot(px - ax - s * dx, py - ay - s * dy));
  }
  return least;
}

/** Show grey levels, white on black, as large pixels. */
function paintPixels(canvas, pixels, [h, w]) {
  const small = make("canvas", { width: w, height: h });
  const image = small.getContext("2d").createImageData(w, h);
  pixels.forEach((v, i) => image.data.set([v, v, v, 255], 4 * i));
  small.getContext("2d").putImageData(image, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** Ten bars, the largest written above them. */
function makeAnswer(name, classes, colour) {
  const bars = Array.from({ length: classes }, (_, k) =>
    make("div", {}, make("span", {}, String(k)), make("i")),
  );
  const parts = { digit: make("b"), sure: make("small"), share: make("p") };
  const list = make("div", { class: "sc-bars", role: "img" }, ...bars);
  const title = make("strong", {}, name);
  const node = make(
    "div",
    { class: "sc-answer", ...(colour ? { style: `--ink: ${colour}` } : {}) },
    title,
    make("div", { class: "sc-top" }, parts.digit, parts.sure),
    list,
    parts.share,
  );
  return { node, bars, list, name, ...parts };
}

/** Show what a network answers; `truth` is the label of a test digit, null of a drawing. */
function fillAnswer(answer, probabilities, truth) {
  const top = largest(probabilities);
  const right = truth === null ? null : top === truth;
  const [mark, word] = { null: ["", ""], true: [" ✓", ", right"], false: [" ✗", ", wrong"] }[right];
  answer.digit.textContent = `${top}${mark}`;
  answer.digit.className = { null: "", true: "sc-right", false: "sc-wrong" }[right];
  answer.sure.textContent = `${percent(probabilities[top])} sure`;
  probabilities.forEach((p, k) => {
    answer.bars[k].style.setProperty("--p", p);
    answer.bars[k].title = `${k}: ${percent(p)}`;
    answer.bars[k].className = k === top ? "sc-best" : "";
  });
  const words = `${answer.name} answers ${top} with ${percent(probabilities[top])}${word}`;
  answer.list.setAttribute("aria-label", words);
  return top;
}

/** Show that there is nothing to answer to. */
function emptyAnswer(answer) {
  answer.digit.textContent = "–";
  answer.digit.className = "";
  answer.sure.textContent = "";
  for (const bar of answer.bars) {
    bar.style.setProperty("--p", 0);
    bar.removeAttribute("title");
    bar.className = "";
  }
  answer.list.setAttribute("aria-label", `${answer.name} has nothing to read`);
}

async function startCrossing(panel, data) {
  const { t: ts, widths, alignments, labels, shape } = data;
  const [raw, images] = await Promise.all([inflate(data.weights), inflate(data.images)]);
  const networks = readNetworks(new Int16Array(raw), widths, data.scales);
  const grey = new Uint8Array(images);
  const [size, classes, n] = [widths[0], widths.at(-1), labels.length];
  const asInput = (levels) => Float32Array.from(levels, (v) => v / 255);
  const firstOf = (x, count) => networks.map((layers) => affine(x, count, layers[0]));
  const tests = firstOf(asInput(grey), n);
  const crossings = alignments.map((alignment) => new Crossing(networks, alignment));
  const parentShares = networks.map((layers, k) =>
    share(forward(tests[k], n, layers.slice(1)), labels, classes),
  );
  const curves = crossings.map((crossing) =>
    ts.map((t) => share(crossing.logits(tests, n, t), labels, classes)),
  );
  const state = { at: ts.indexOf(0.5), alignment: 0, test: 0, strokes: [] };

  const pad = make("canvas", { class: "sc-pad", width: 280, height: 280, tabindex: 0, role: "img" });
  const seen = make("canvas", { class: "sc-seen", width: shape[1], height: shape[0], role: "img" });
  const what = make("span");
  const button = (words, action) => {
    const node = make("button", { type: "button" }, words);
    node.addEventListener("click", action);
    return node;
  };
  const step = (by) => update({ strokes: [], test: ((state.test ?? -by) + by + n) % n });
  const buttons = make(
    "div",
    { class: "sc-buttons" },
    button("‹ Back", () => step(-1)),
    button("Next digit ›", () => step(1)),
    button("Clear", () => update({ strokes: [], test: null })),
  );
  const answers = [
    makeAnswer("Parent a", classes),
    makeAnswer("Child", classes, alignments[0].colour),
    makeAnswer("Parent b", classes),
  ];
  const slider = makeSlider(ts, state.at, (i) => update({ at: i }));
  const chart = makeChart(
    ts,
    190,
    (v) => `${Math.round(100 * v)}%`,
    (i) => update({ at: i }),
  );
  const summary = makeSummary();

  function drawPad(pixels, empty) {
    if (!state.strokes.length) paintPixels(pad, pixels, shape);
    const context = pad.getContext("2d");
    const ink = { lineWidth: 22, lineCap: "round", lineJoin: "round", strokeStyle: "white" };
    Object.assign(context, ink, { font: "20px sans-serif", textAlign: "center", fillStyle: "#bbb" });
    if (empty) context.fillText("draw here", pad.width / 2, pad.height / 2);
    if (!state.strokes.length) return;
    context.clearRect(0, 0, pad.width, pad.height);
    for (const stroke of state.strokes) {
      context.beginPath();
      for (const [x, y] of [stroke[0], ...stroke]) context.lineTo(x * pad.width, y * pad.height);
      context.stroke();
    }
  }

  function currentPixels() {
    if (state.strokes.length) return rasterise(state.strokes, shape);
    if (state.test === null) return new Uint8Array(size);
    return grey.subarray(state.test * size, (state.test + 1) * size);
  }

  function update(change) {
    Object.assign(state, change);
    slider.move(state.at);
    const t = ts[state.at];
    const { label, colour } = alignments[state.alignment];
    const pixels = currentPixels();
    const empty = !state.strokes.length && state.test === null;
    const truth = state.strokes.length || empty ? null : labels[state.test];
    drawPad(pixels, empty);
    paintPixels(seen, pixels, shape);
    const name = empty
      ? "Nothing drawn yet"
      : truth === null
        ? "Your drawing"
        : `Test digit ${state.test + 1} of ${n}: a ${truth}`;
    seen.hidden = !state.strokes.length;
    what.textContent = empty
      ? "Draw a digit above."
      : truth === null
        ? "What the networks see of it."
        : `${name}.`;
    pad.setAttribute("aria-label", `${name}. Draw here, or take test digits with the arrow keys.`);
    seen.setAttribute("aria-label", `What the networks see: ${shape[0]} by ${shape[1]} pixels.`);

    const z = firstOf(asInput(pixels), 1);
    const logits = [
      forward(z[0], 1, networks[0].slice(1)),
      crossings[state.alignment].logits(z, 1, t),
      forward(z[1], 1, networks[1].slice(1)),
    ];
    const shares = [parentShares[0], curves[state.alignment][state.at], parentShares[1]];
    const tops = answers.map((answer, k) => {
      answer.share.replaceChildren(make("b", {}, percent(shares[k])), ` of ${n} test digits right`);
      return empty ? emptyAnswer(answer) : fillAnswer(answer, softmax(logits[k]), truth);
    });
    answers[1].node.style.setProperty("--ink", colour);
    chart.draw({
      title: `${n} test digits: the share that the child gets right`,
      at: state.at,
      level: (parentShares[0] + parentShares[1]) / 2,
      lines: alignments.map((alignment, k) => ({
        colour: alignment.colour,
        middle: curves[k],
        faint: k !== state.alignment,
      })),
      words: "One line for each way to line up the neurons; dashed, the mean of the parents.",
    });
    const verdict = empty
      ? "Draw a digit, or take the next one."
      : `The child answers ${tops[1]}, its parents ${tops[0]} and ${tops[2]}.`;
    summary.say(
      `${verdict} At t = ${t.toFixed(2)}, ${label}, the child gets ${percent(shares[1])} of ${n} ` +
        `test digits right, its parents ${percent(shares[0])} and ${percent(shares[2])}.`,
    );
  }

  const where = (event) => {
    const box = pad.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    update({ test: null, strokes: [...state.strokes, [where(event)]] });
  });
  pad.addEventListener("pointermove", (event) => {
    if (!pad.hasPointerCapture(event.pointerId)) return;
    state.strokes.at(-1).push(where(event));
    update({});
  });
  pad.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(by);
  });

  panel.append(
    makeHead(
      "Draw a digit: two networks and their child say what it is",
      "Each weight of the child is a mix of its parents' weights: 1 − t parts of a, t parts of b. Slide t, and choose " +
        "how the parents' neurons are lined up before they are mixed.",
    ),
    make(
      "div",
      { class: "sc-bench" },
      make(
        "div",
        { class: "sc-input" },
        pad,
        make("div", { class: "sc-what" }, seen, what),
        buttons,
      ),
      make("div", { class: "sc-answers" }, ...answers.map((answer) => answer.node)),
    ),
    makeChoice("How the neurons are lined up", alignments, 0, (i) => update({ alignment: i })),
    slider.node,
    chart.node,
    summary.node,
  );
  update({});
}

startFigures("crossing", startCrossing);
