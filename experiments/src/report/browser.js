// The items: filters, order, list, and of one item what is known of it, its samples and its completions.
// Text of models is only ever set as textContent, so that it is shown and never run.
(() => {
  const browser = document.getElementById("browser");
  if (!browser) return;
  const { arms, tasks, items, texts } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const task = byId("filter-task");
  const outcome = byId("filter-outcome");
  const right = byId("filter-right");
  const wrong = byId("filter-wrong");
  const order = byId("order");
  const words = byId("filter-text");
  const list = byId("item-list");
  const total = byId("item-count");
  const before = byId("item-before");
  const after = byId("item-after");
  const shown = byId("item");
  const said = byId("item-said");
  const files = [...document.querySelectorAll("#files a")];
  const whole = new Intl.NumberFormat("en");
  const count = (n, what) => `${whole.format(n)} ${what}${n === 1 ? "" : "s"}`;

  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };
  // Whatever the direction of its letters, a text turns nothing around it.
  const foreign = (tag, text, className) => {
    const made = element(tag, text, className);
    made.dir = "auto";
    return made;
  };

  // Right, wrong or, where nothing was graded, null: by more than half of the graded samples.
  const verdict = (tally) => (tally && tally[1] > 0 ? tally[0] * 2 > tally[1] : null);
  const verdicts = items.map((item) => item.tallies.map(verdict));
  const has = (i, value) => verdicts[i].includes(value);

  // Each outcome: its name and which items it keeps.
  const outcomes = [
    ["any outcome", () => true],
    ["arms differ", (i) => has(i, true) && has(i, false)],
    ["every arm right", (i) => has(i, true) && !has(i, false)],
    ["every arm wrong", (i) => has(i, false) && !has(i, true)],
    ["not graded", (i) => !has(i, true) && !has(i, false)],
    ["some sample cut off", (i) => items[i].tallies.some((tally) => tally && tally[3] > 0)],
    ["with completions in this page", (i) => items[i].kept !== null],
  ].filter(([, keep], n) => n === 0 || items.some((_, i) => keep(i)));
  // Each order: its name, what it sorts by from the largest on, and how that reads in the list.
  const ms = (value) => `${whole.format(Math.round(value))} ms`;
  const apart = (place, words) => [(i) => items[i].apart[place], words];
  const times = (v) => strips.factor(Math.exp(v));
  const predictedTimes = (i) => (items[i].human[1] && items[i].human[2] ? items[i].human[1] / items[i].human[2] : null);
  const orders = [
    ["task, as evaluated", () => null, null],
    ["human time, longest first", (i) => items[i].human[0] ?? items[i].human[1], ms],
    ["human time, shortest first", (i) => -(items[i].human[0] ?? items[i].human[1] ?? NaN), (v) => ms(-v)],
    ["people furthest from prediction", (i) => items[i].apart[3], (v, i) => strips.factor(predictedTimes(i))],
    ["arms furthest from prediction", ...apart(4, times)],
    ["arms furthest apart in tokens", ...apart(1, times)],
    ["arms furthest apart in outcome", ...apart(0, (v) => v.toFixed(2))],
    ["arms furthest from people", ...apart(2, (v) => `${v.toFixed(2)} SD`)],
  ].filter(([, by], n) => n === 0 || items.some((_, i) => Number.isFinite(by(i))));

  const option = (value, text) => {
    const made = element("option", text);
    made.value = value;
    return made;
  };
  const offer = (select, names) => names.forEach((name, i) => select.append(option(i, name)));
  offer(task, ["all tasks", ...tasks.map(({ name }) => name)]);
  offer(outcome, outcomes.map(([name]) => name));
  offer(right, ["no matter", ...arms.map((arm) => arm.name)]);
  offer(wrong, ["no matter", ...arms.map((arm) => arm.name)]);
  offer(order, orders.map(([name]) => name));
  const chosen = (select) => Number(select.value);

  const text = (i) => (typeof texts[i] === "string" ? texts[i] : `${texts[i][0]}\n${texts[i][2]}`);
  const searched = [];
  const holds = (i, query) => {
    const item = items[i];
    searched[i] ??= [item.id, item.prompt, item.answer, item.cluster ?? "", ...(item.kept ?? []).flat().map((c) => text(c[4]))].join("\n").toLowerCase();
    return searched[i].includes(query);
  };

  const FEW = 8;
  const oneLine = (words) => words.replace(/\s+/g, " ").trim();
  const short = (words, most) => ([...words].length > most ? `${[...words].slice(0, most - 1).join("")}…` : words);
  const sign = (v) => (v === null ? "\u2013" : v ? "\u2713" : "\u2717");
  const marks = (i) => {
    if (arms.length <= FEW) return verdicts[i].map(sign).join("");
    const of = (value) => verdicts[i].filter((v) => v === value).length;
    return `${of(true)}\u2713 ${of(false)}\u2717`;
  };
  // Isolated, so that a prompt from right to left leaves the marks where they are.
  const label = (i, value) => `${marks(i)}${value} \u2068${short(oneLine(items[i].prompt) || items[i].id, 48)}\u2069`;

  const fill = () => {
    const keep = outcomes[chosen(outcome)][1];
    const [, by, shows] = orders[chosen(order)];
    const query = words.value.trim().toLowerCase();
    const last = list.value;
    const found = [...items.keys()].filter(
      (i) =>
        (chosen(task) === 0 || items[i].task === chosen(task) - 1) &&
        keep(i) &&
        (chosen(right) === 0 || verdicts[i][chosen(right) - 1] === true) &&
        (chosen(wrong) === 0 || verdicts[i][chosen(wrong) - 1] === false) &&
        (query === "" || holds(i, query)),
    );
    // Undefined comes last; what is equally far keeps its order.
    const key = (i) => (Number.isFinite(by(i)) ? by(i) : -Infinity);
    const value = (i) => (shows !== null && Number.isFinite(by(i)) ? ` ${shows(by(i), i)} \u00b7` : " ");
    if (shows !== null) found.sort((a, b) => (key(a) === key(b) ? 0 : key(b) - key(a)));
    list.replaceChildren(...found.map((i) => option(i, label(i, value(i)))));
    const legend = arms.length <= FEW ? `; marks: ${arms.map((arm) => arm.name).join(", ")}` : "; marks: arms right and wrong";
    total.textContent = `${whole.format(found.length)} of ${count(items.length, "item")}${legend}`;
    const again = found.includes(Number(last)) && last !== "" && shows === null;
    list.value = again ? last : String(found[0] ?? "");
    show();
  };

  const GRADES = [
    ["\u2717 wrong", "mark-wrong"],
    ["\u2713 right", "mark-right"],
    ["\u2013 not graded", ""],
  ];
  const completion = ([seed, sample, tokens, grade, at]) => {
    const made = element("div", undefined, "completion");
    const line = element("p");
    line.append(element("span", ...GRADES[grade % 3]));
    if (grade >= 3) line.append(" \u00b7 ", element("span", "cut off", "mark-cut"));
    line.append(` \u00b7 ${count(tokens, "token")}`);
    if (seed !== null) line.append(` \u00b7 seed ${seed}`);
    line.append(` \u00b7 sample ${sample}`);
    const words = texts[at];
    const pre = foreign("pre", typeof words === "string" ? words : words[0]);
    if (typeof words !== "string") {
      pre.append(element("em", `\n[${count(words[1], "character")} left out]\n`, "left-out"), words[2]);
    }
    // A long completion scrolls in its own box, which the keyboard must reach.
    if (pre.textContent.length > 600) {
      pre.tabIndex = 0;
      pre.role = "region";
      pre.ariaLabel = "completion";
    }
    made.append(line, pre);
    return made;
  };

  const column = (arm, tally, kept) => {
    const made = element("section");
    const title = element("h4", arm.name);
    title.style.setProperty("--arm", arm.color);
    made.append(title);
    if (!tally) {
      made.append(element("p", "no completion", "tally"));
      return made;
    }
    const [, , samples, cut] = tally;
    const facts = [`${kept.length} of ${count(samples, "sample")} here`, cut > 0 ? `${cut} cut off` : ""];
    made.append(element("p", facts.filter((fact) => fact !== "").join(" \u00b7 "), "tally"));
    made.append(...kept.map(completion));
    return made;
  };

  const file = (i) => {
    const made = element("p", undefined, "file");
    if (files[i]) {
      const link = element("a", "All completions of this item");
      link.href = files[i].getAttribute("href");
      made.append(link);
      made.append(items[i].kept === null ? "; none of them stand in this page." : ", as a text file.");
    } else if (items[i].kept === null) {
      made.textContent = "Its completions are not in this page.";
    }
    return made;
  };

  const show = () => {
    const at = list.selectedIndex;
    before.disabled = at <= 0;
    after.disabled = at < 0 || at + 1 >= list.length;
    shown.replaceChildren();
    if (at < 0) {
      shown.append(element("p", "No item fits these filters."));
      said.textContent = "No item fits these filters.";
      return;
    }
    const i = Number(list.value);
    const item = items[i];
    const of = tasks[item.task];
    const facts = element("dl", undefined, "facts");
    const fact = (name, words) => facts.append(element("dt", name), foreign("dd", words));
    fact("task", of.name);
    fact("right answer", item.answer);
    const [time, typical, expected] = item.human;
    if (of.timed) fact("people", time === null ? (typical === null ? "no time is known" : `${ms(typical)}, e to their mean ln`) : `${ms(time)} on average`);
    const known = of.covariates.map((name, n) => [name, item.covariates[n]]).filter(([, value]) => value !== null);
    if (known.length > 0) fact("covariates", known.map(([name, value]) => `${name} ${Number(value.toFixed(3))}`).join(", "));
    const fit = of.fitted === null ? "" : ` (multiple r in this task ${of.fitted})`;
    if (of.timed && expected !== null && typical !== null) {
      const compared = `people take ${(typical / expected).toFixed(2)} times that (${ms(typical)}, e to their mean ln)`;
      fact("predicted", `${ms(expected)} from ${of.covariates.join(", ")} alone${fit}; ${compared}`);
    } else if (of.timed) {
      const why = known.length === 0 ? "nothing is known of the item beforehand" : "a time or a covariate is missing, or none varies";
      fact("predicted", `undefined: ${why}`);
    }
    fact("cluster", item.cluster ?? "the item alone");
    const [outcomes, tokens, people] = item.apart;
    if (outcomes !== null) fact("arms apart", `by ${outcomes.toFixed(2)} in outcome${tokens === null ? "" : `, by a factor of ${Math.exp(tokens).toFixed(2)} in tokens`}`);
    if (people !== null) fact("far from people", `by ${people.toFixed(2)} standard deviations`);
    const answers = element("div", undefined, "answers");
    arms.forEach((arm, n) => {
      const kept = item.kept === null ? [] : (item.kept[n] ?? []);
      answers.append(column(arm, item.tallies[n], kept));
    });
    const strip = strips.figure(arms, item, of.timed && of.covariates.length > 0);
    shown.append(foreign("h3", item.id), foreign("pre", item.prompt), facts, ...(strip ? [strip] : []), file(i), answers);
    const graded = verdicts[i].filter((v) => v !== null);
    said.textContent = `${item.id}: right in ${graded.filter((v) => v).length} of ${count(graded.length, "arm")}`;
  };

  const step = (by) => {
    list.selectedIndex += by;
    show();
  };
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  for (const select of [task, outcome, right, wrong, order]) select.addEventListener("change", fill);
  words.addEventListener("input", fill);
  list.addEventListener("change", show);
  before.addEventListener("click", () => step(-1));
  after.addEventListener("click", () => step(1));
  browser.hidden = false;
  fill();
})();
