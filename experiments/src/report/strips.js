// The samples of one item as strips: a row an arm, a line a seed, tokens from left to right.
// Everything that is drawn stands beside it as numbers.
const strips = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const LINE = 18;
  const TICKS = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000];
  const GRADES = ["wrong", "right", "not graded"];

  const made = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const drawn = (tag, attributes) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };

  // Runs as [seed, [{sample, tokens, grade, cut}]], a pair a seed.
  const seeds = (runs) => {
    const all = [];
    for (const [seed, first, codes] of runs) {
      if (all.length === 0 || all.at(-1)[0] !== seed) all.push([seed, []]);
      codes.forEach((code, n) =>
        all.at(-1)[1].push({ sample: first + n, tokens: Math.floor(code / 6), grade: code % 3, cut: code % 6 >= 3 }),
      );
    }
    return all;
  };
  const named = (seed) => (seed === null ? "no seed" : `seed ${seed}`);

  // Places on the axis of ln(1 + tokens), in per cent of its width.
  const axis = (costs) => {
    const least = Math.min(...costs);
    const most = Math.max(...costs);
    const low = most - least < 0.5 ? least - 0.25 : least;
    const high = most - least < 0.5 ? most + 0.25 : most;
    const place = (cost) => 3 + (94 * (cost - low)) / (high - low);
    const within = TICKS.filter((tick) => Math.log1p(tick) >= low - 1e-9 && Math.log1p(tick) <= high + 1e-9);
    const ends = [low, high].map((cost) => Math.round(Math.expm1(cost)));
    const ticks = within.length > 1 ? within : [...new Set(ends)];
    return { place, ticks };
  };

  const line = (of, { place, ticks }, [mean, expected]) => {
    const svg = drawn("svg", { width: "100%", height: LINE, "aria-hidden": "true" });
    const upright = (cost, name) => {
      const x = `${place(cost).toFixed(2)}%`;
      svg.append(drawn("line", { x1: x, x2: x, y1: 0, y2: LINE, class: name }));
    };
    for (const tick of ticks) upright(Math.log1p(tick), "grid");
    // Samples of one place stand above each other, the wrong ones first.
    const places = new Map();
    for (const sample of of) {
      const at = Math.round(place(Math.log1p(sample.tokens)));
      places.set(at, [...(places.get(at) ?? []), sample]);
    }
    for (const stack of places.values()) {
      const step = Math.min(5, (LINE - 6) / Math.max(1, stack.length - 1));
      stack.sort((a, b) => a.grade - b.grade);
      stack.forEach((sample, n) => {
        const x = `${place(Math.log1p(sample.tokens)).toFixed(2)}%`;
        const y = LINE / 2 + (n - (stack.length - 1) / 2) * step;
        const dot = drawn("circle", { cx: x, cy: y.toFixed(1), r: 3, class: GRADES[sample.grade].replace(" ", "-") });
        svg.append(dot);
        if (sample.cut) svg.append(drawn("line", { x1: x, x2: x, y1: (y - 5).toFixed(1), y2: (y + 5).toFixed(1), class: "cut" }));
      });
    }
    if (expected !== null) upright(expected, "expected");
    if (mean !== null) upright(mean, "mean");
    return svg;
  };

  const labels = ({ place, ticks }) => {
    const svg = drawn("svg", { width: "100%", height: 16, "aria-hidden": "true" });
    let free = -Infinity;
    for (const tick of ticks) {
      const at = place(Math.log1p(tick));
      if (at - free < 7) continue;
      free = at;
      const text = drawn("text", { x: `${at.toFixed(2)}%`, y: 12, "text-anchor": "middle" });
      text.textContent = tick;
      svg.append(text);
    }
    return svg;
  };

  const cell = (row, head, label, content, className) => {
    const box = made(head ? "th" : "td", undefined, className);
    box.setAttribute("role", head ? "rowheader" : "cell");
    if (head) box.scope = "row";
    else if (label) box.dataset.label = label;
    box.append(content);
    row.append(box);
    return box;
  };
  const factor = (ratio) => `\u00d7${ratio.toFixed(2)}`;
  const HEADS = ["arm", "samples", "right", "tokens", "of predicted"];

  // The figure of an item: its arms that have samples, or nothing where none has.
  const figure = (arms, item, predicted) => {
    const shown = arms.map((arm, n) => ({ ...arm, tally: item.tallies[n], of: seeds(item.samples?.[n] ?? []) }));
    const there = shown.filter((arm) => arm.tally !== null);
    if (there.length === 0) return null;
    const costs = there.flatMap((arm) => [
      ...arm.of.flatMap(([, of]) => of.map((sample) => Math.log1p(sample.tokens))),
      ...arm.tally.slice(5).filter((cost) => cost !== null),
    ]);
    const scale = costs.length > 0 && item.samples !== null ? axis(costs) : null;
    const figure = made("figure", undefined, "strips");
    const table = made("table");
    table.setAttribute("role", "table");
    table.append(made("caption", "What each arm spent, and how often it was right"));
    const head = made("tr");
    head.setAttribute("role", "row");
    const columns = HEADS.filter((name) => (scale || name !== "samples") && (predicted || name !== "of predicted"));
    for (const name of columns) {
      const th = made("th", name, name === "arm" || name === "samples" ? "" : "num");
      th.scope = "col";
      th.setAttribute("role", "columnheader");
      head.append(th);
    }
    const top = made("thead");
    top.append(head);
    const body = made("tbody");
    for (const { name, color, tally, of } of there) {
      const [good, graded, samples, cut, tokens, mean, expected] = tally;
      const row = made("tr");
      row.setAttribute("role", "row");
      cell(row, true, "", name).style.setProperty("--arm", color);
      if (scale) {
        const strip = made("div", undefined, "strip");
        strip.style.setProperty("--arm", color);
        for (const [seed, samples] of of) {
          strip.append(made("span", named(seed)), line(samples, scale, [mean, expected]));
        }
        const all = of.flatMap(([, samples]) => samples.map((sample) => sample.tokens));
        const range = `${samples} samples, ${Math.min(...all)} to ${Math.max(...all)} tokens, ${cut} cut off`;
        strip.setAttribute("role", "img");
        strip.setAttribute("aria-label", range);
        cell(row, false, "", strip, "drawing");
      }
      cell(row, false, "right", made("span", graded > 0 ? `${good} of ${graded}` : "not graded"), "num");
      cell(row, false, "tokens", made("span", tokens.toFixed(1)), "num");
      if (predicted) {
        const known = mean !== null && expected !== null;
        cell(row, false, "of predicted", made("span", known ? factor(Math.exp(mean - expected)) : "undefined"), known ? "num" : "num undefined");
      }
      body.append(row);
    }
    if (scale) {
      const row = made("tr", undefined, "axis");
      row.setAttribute("aria-hidden", "true");
      const strip = made("div", undefined, "strip");
      strip.append(made("span", "tokens"), labels(scale));
      row.append(made("td"), made("td", undefined, "drawing"), ...columns.slice(2).map(() => made("td")));
      row.children[1].append(strip);
      body.append(row);
    }
    table.append(top, body);
    figure.append(table);
    if (!scale) {
      figure.append(made("p", "Its single samples are not in this page.", "legend"));
      return figure;
    }
    const legend =
      "A dot is a sample: filled where right, open where wrong, grey where not graded, crossed where the cap cut it off. " +
      "The scale is that of ln(1 + tokens). The solid line is the arm\u2019s mean there" +
      (predicted ? ", the dashed one what the covariates predict of it." : ".");
    figure.append(made("p", legend, "legend"), numbers(there));
    return figure;
  };

  // The same in words, made when it is asked for.
  const numbers = (there) => {
    const details = made("details");
    details.append(made("summary", "These samples as numbers"));
    details.addEventListener(
      "toggle",
      () => {
        const list = made("dl");
        const words = ({ sample, tokens, grade, cut }) => `${sample}: ${tokens} tokens, ${GRADES[grade]}${cut ? ", cut off" : ""}`;
        for (const { name, of } of there) {
          for (const [seed, samples] of of) list.append(made("dt", `${name}, ${named(seed)}`), made("dd", samples.map(words).join("; ")));
        }
        details.append(list);
      },
      { once: true },
    );
    return details;
  };

  return { figure, factor };
})();
