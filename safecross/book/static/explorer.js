// The published curves: choose a data set and operators, slide along t, read the numbers.

function startExplorer(panel, data) {
  const { t: ts, operators, datasets } = data;
  const state = { set: 0, at: ts.indexOf(0.5) >= 0 ? ts.indexOf(0.5) : 0, shown: new Set() };
  for (const o of operators) if (["naive", "sc-cca", "sc-pwc"].includes(o.name)) state.shown.add(o.name);

  const about = make("p", { class: "sc-about" });
  const slider = makeSlider(ts, state.at, (i) => update({ at: i }));
  const pick = (i) => update({ at: i });
  const height = window.innerWidth < 500 ? 180 : 230; // on a phone one stands above the other
  const charts = {
    loss: makeChart(ts, height, (v) => String(Number(v.toPrecision(2))), pick),
    accuracy: makeChart(ts, height, (v) => `${Math.round(100 * v)}%`, pick),
  };
  const summary = makeSummary();
  const caption = make("caption", { class: "visually-hidden" });
  const rows = operators.map((operator) => makeRow(operator));
  const heads = ["Operator", "Loss", "Accuracy"].map((w) => make("th", { scope: "col" }, w));
  const table = make(
    "table",
    { class: "sc-numbers" },
    caption,
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...rows.map((row) => row.node)),
  );

  function makeRow(operator) {
    const box = make("input", { type: "checkbox", value: operator.name });
    box.checked = state.shown.has(operator.name);
    box.addEventListener("change", () => {
      if (box.checked) state.shown.add(operator.name);
      else state.shown.delete(operator.name);
      update({});
    });
    const note = make("small");
    const words = make("span", {}, operator.label, note);
    const cells = { loss: make("td"), accuracy: make("td") };
    const label = make("label", {}, box, words);
    const node = make(
      "tr",
      { style: `--ink: ${operator.colour}`, "data-operator": operator.name },
      make("th", { scope: "row" }, label),
      cells.loss,
      cells.accuracy,
    );
    return { operator, node, note, cells };
  }

  function fillRow({ operator, node, note, cells }) {
    const set = datasets[state.set];
    const curves = set.curves[operator.name];
    node.hidden = !curves;
    node.classList.toggle("sc-off", !state.shown.has(operator.name));
    if (!curves) return;
    note.textContent = [operator.note, set.forms[operator.name]].filter(Boolean).join(", ");
    for (const [column, format] of [["loss", nats], ["accuracy", percent]]) {
      const [middle, low, high] = curves[column].map((values) => values[state.at]);
      const range = make("small", {}, `${format(low)} – ${format(high)}`);
      cells[column].replaceChildren(make("b", {}, format(middle)), range);
    }
  }

  function drawChart(column, chosen) {
    const set = datasets[state.set];
    const lines = chosen.map(({ name, colour }) => {
      const [middle, low, high] = set.curves[name][column];
      return { colour, middle, low, high };
    });
    const middles = lines.flatMap((line) => line.middle);
    const log = column === "loss" && Math.max(...middles) > 20 * Math.min(...middles);
    const names = chosen.map((operator) => operator.label).join(", ") || "no operator";
    const scale = log ? " (logarithmic scale)" : "";
    charts[column].draw({
      title: column === "loss" ? `Loss: lower is better${scale}` : "Accuracy: higher is better",
      lines,
      log,
      at: state.at,
      level: set.parents[column],
      words: `Lines along t for ${names} on ${set.label}; the table has the numbers at the slider.`,
    });
  }

  function update(change) {
    Object.assign(state, change);
    slider.move(state.at);
    const set = datasets[state.set];
    const chosen = operators.filter((o) => state.shown.has(o.name) && set.curves[o.name]);
    about.textContent =
      `Lines: mean over ${set.pairs} pairs of networks. Shading: the middle 90% of the pairs. ` +
      `Dashed: the parents, loss ${nats(set.parents.loss)}, ` +
      `accuracy ${percent(set.parents.accuracy)}.`;
    for (const column of ["loss", "accuracy"]) drawChart(column, chosen);
    for (const row of rows) fillRow(row);
    const where = `${set.label}, ${describe(ts[state.at])}`;
    caption.textContent = `The child at ${where}: mean over pairs, and the range of the middle 90%`;
    const parts = chosen.map(({ name, label }) => {
      const { loss, accuracy } = set.curves[name];
      return `${label} loss ${nats(loss[0][state.at])}, accuracy ${percent(accuracy[0][state.at])}`;
    });
    summary.say(`${where}: ${parts.join("; ") || "no operator chosen"}.`);
  }

  panel.append(
    makeHead(
      "How good is the child of two networks?",
      "Each weight of the child is a mix of its parents' weights: 1 − t parts of a, t parts of b. Slide t, and choose " +
        "how the parents' neurons are lined up before they are mixed.",
    ),
    makeChoice("Data set", datasets, 0, (i) => update({ set: i })),
    about,
    make("div", { class: "sc-charts" }, charts.loss.node, charts.accuracy.node),
    slider.node,
    make("fieldset", {}, make("legend", {}, "How the neurons are lined up"), table),
    summary.node,
  );
  update({});
}

startFigures("explorer", startExplorer);
