// The item browser: filters, list, and one item's completions side by side.
// Text of models is only ever set as textContent, so that it is shown and never run.
"use strict";
(() => {
  const browser = document.getElementById("browser");
  if (!browser) return;
  const { arms, items } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const task = byId("filter-task");
  const outcome = byId("filter-outcome");
  const words = byId("filter-text");
  const list = byId("item-list");
  const count = byId("item-count");
  const before = byId("item-before");
  const after = byId("item-after");
  const shown = byId("item");
  const whole = new Intl.NumberFormat("en");

  const element = (tag, text, className) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  // Right, wrong or, where nothing was graded, null: by more than half of the graded samples.
  const verdict = (completions) => {
    const graded = (completions || []).filter((c) => c.correct !== null);
    if (graded.length === 0) return null;
    return graded.filter((c) => c.correct).length * 2 > graded.length;
  };
  const verdicts = items.map((item) => {
    const found = {};
    for (const arm of arms) found[arm.name] = verdict(item.arms[arm.name]);
    return found;
  });
  const known = (i) => arms.map((arm) => verdicts[i][arm.name]).filter((v) => v !== null);
  const cut = (i) => Object.values(items[i].arms).some((list) => list.some((c) => c.truncated));

  // Each outcome: its name and which items it keeps.
  const outcomes = [
    ["any outcome", () => true],
    ["arms disagree", (i) => new Set(known(i)).size > 1],
    ["every arm right", (i) => known(i).length > 0 && known(i).every((v) => v)],
    ["every arm wrong", (i) => known(i).length > 0 && known(i).every((v) => !v)],
    ["some sample truncated", cut],
  ];
  const pairs = [];
  for (const one of arms) {
    for (const other of arms) {
      if (one === other) continue;
      pairs.push([
        `${one.name} right, ${other.name} wrong`,
        (i) => verdicts[i][one.name] === true && verdicts[i][other.name] === false,
      ]);
    }
  }

  const option = (value, text) => {
    const made = element("option", text);
    made.value = value;
    return made;
  };
  task.append(option("", "all tasks"));
  for (const name of new Set(items.map((item) => item.task))) task.append(option(name, name));
  outcomes.forEach(([name], i) => outcome.append(option(i, name)));
  if (pairs.length > 0) {
    const group = document.createElement("optgroup");
    group.label = "one arm against another";
    pairs.forEach(([name], i) => group.append(option(outcomes.length + i, name)));
    outcome.append(group);
  }

  const oneLine = (text) => text.replace(/\s+/g, " ").trim();
  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  const sign = (v) => (v === null ? "\u2013" : v ? "\u2713" : "\u2717");
  const signs = (i) => arms.map((arm) => sign(verdicts[i][arm.name])).join("");

  const fill = () => {
    const keep = [...outcomes, ...pairs][Number(outcome.value)][1];
    const query = words.value.trim().toLowerCase();
    const chosen = list.value;
    const found = items.map((_, i) => i).filter((i) => {
      const item = items[i];
      return (
        (task.value === "" || item.task === task.value) &&
        keep(i) &&
        (query === "" || `${item.prompt} ${item.item_id}`.toLowerCase().includes(query))
      );
    });
    list.replaceChildren(
      ...found.map((i) => option(i, `${signs(i)}  ${short(oneLine(items[i].prompt) || items[i].item_id, 48)}`)),
    );
    count.textContent =
      `${whole.format(found.length)} of ${whole.format(items.length)} items; ` +
      `marks: ${arms.map((arm) => arm.name).join(", ")}`;
    list.value = found.includes(Number(chosen)) && chosen !== "" ? chosen : String(found[0] ?? "");
    show();
  };

  const fact = (facts, name, text) => facts.append(element("dt", name), element("dd", text));

  const completion = (c) => {
    const made = element("div", undefined, "completion");
    const line = element("p");
    if (c.correct !== null) {
      const text = c.correct ? "\u2713 right" : "\u2717 wrong";
      line.append(element("span", text, c.correct ? "mark-right" : "mark-wrong"));
    } else {
      line.append(element("span", "\u2013 not graded"));
    }
    if (c.truncated) line.append(" \u00b7 ", element("span", "truncated", "mark-cut"));
    const unit = c.reasoning_tokens === 1 ? "token" : "tokens";
    line.append(` \u00b7 ${whole.format(c.reasoning_tokens)} ${unit}`);
    if (c.seed !== null && c.seed !== undefined) line.append(` \u00b7 seed ${c.seed}`);
    const text = element("pre", c.text);
    // A long completion scrolls in its own box, which the keyboard must reach.
    if (c.text.length > 600) text.tabIndex = 0;
    made.append(line, text);
    return made;
  };

  const column = (arm, completions) => {
    const made = element("section");
    const title = element("h4", arm.name);
    title.style.setProperty("--arm", arm.color);
    made.append(title);
    if (!completions || completions.length === 0) {
      made.append(element("p", "no completion kept", "tally"));
      return made;
    }
    const graded = completions.filter((c) => c.correct !== null);
    const right = graded.filter((c) => c.correct).length;
    const tokens = completions.reduce((sum, c) => sum + c.reasoning_tokens, 0) / completions.length;
    made.append(element("p", `${right} of ${graded.length} right \u00b7 ${tokens.toFixed(1)} tokens on average`, "tally"));
    completions.forEach((c) => made.append(completion(c)));
    return made;
  };

  const show = () => {
    const at = list.selectedIndex;
    before.disabled = at <= 0;
    after.disabled = at < 0 || at + 1 >= list.length;
    shown.replaceChildren();
    if (at < 0) {
      shown.append(element("p", "No item fits these filters."));
      return;
    }
    const item = items[Number(list.value)];
    const facts = element("dl", undefined, "facts");
    fact(facts, "task", item.task);
    fact(facts, "right answer", item.answer);
    const human = item.human_ms;
    fact(facts, "human time", human === null || human === undefined ? "not known" : `${whole.format(Math.round(human))} ms on average`);
    const answers = element("div", undefined, "answers");
    for (const arm of arms) answers.append(column(arm, item.arms[arm.name]));
    shown.append(element("h3", item.item_id), element("pre", item.prompt), facts, answers);
  };

  const step = (by) => {
    list.selectedIndex += by;
    show();
  };
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  task.addEventListener("change", fill);
  outcome.addEventListener("change", fill);
  words.addEventListener("input", fill);
  list.addEventListener("change", show);
  before.addEventListener("click", () => step(-1));
  after.addEventListener("click", () => step(1));
  browser.hidden = false;
  fill();
})();
