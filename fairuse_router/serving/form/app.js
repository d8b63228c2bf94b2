// The form: asks what helps, computes on the device, says what telling changed.
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);
const $ = (id) => document.getElementById(id);
let texts, plan, session, ort;
const told = new Map(); // attribute -> level, or null where the person would rather not say

class Problem extends Error {}

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
const say = (key, values = {}) => fill(texts[key] ?? key, values);
const nameOf = (kind, name) => texts[kind]?.[name] ?? name;
const levelOf = (attribute, level) => texts.levels?.[attribute]?.[level] ?? level;
const percent = (p) => `${(100 * p).toFixed(1)}%`;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

async function read(path) {
  let response;
  try {
    response = await fetch(path, { cache: "no-cache", credentials: "same-origin" });
  } catch (error) {
    throw new Problem(say("problem_file", { detail: path }));
  }
  if (!response.ok) throw new Problem(say("problem_file", { detail: path }));
  return response;
}

async function readModel() {
  const content = await (await read("router.onnx")).arrayBuffer();
  if (globalThis.crypto?.subtle) { // there is none on a page that is not secure
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    const hex = [...digest].map((b) => b.toString(16).padStart(2, "0")).join("");
    if (hex !== plan.sha256) throw new Problem(say("problem_damaged"));
  }
  return content;
}

async function openSession() {
  if (typeof WebAssembly !== "object") throw new Problem(say("problem_no_wasm"));
  if (!WebAssembly.validate(SIMD)) throw new Problem(say("problem_no_simd"));
  const model = await readModel();
  const folder = new URL("ort/", location.href).href;
  try {
    ort = await import(`${folder}ort.wasm.min.mjs`);
    await read("ort/ort-wasm-simd-threaded.wasm");
  } catch (error) {
    throw new Problem(say("problem_runtime", { detail: "ort/" }));
  }
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = folder;
  ort.env.logLevel = "error";
  try {
    session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
  } catch (error) {
    const text = String(error?.message ?? error);
    if (/wasm|backend|fetch|import/i.test(text) && !/onnx|protobuf|graph/i.test(text)) {
      throw new Problem(say("problem_runtime", { detail: text.slice(0, 200) }));
    }
    throw new Problem(say("problem_damaged"));
  }
}

// all is loaded: from here on nothing may be fetched, not even from where the page came from
function closeDoors() {
  const policy = "default-src 'none'; style-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'none'";
  document.head.append(element("meta", { "http-equiv": "Content-Security-Policy", content: policy }));
}

// questions
function amount(value) {
  if (plan.metric !== "error") return say("better_by", { number: value.text, metric: plan.metric });
  const number = Math.abs(100 * value.number).toFixed(1);
  return say(value.number < 0 ? "more_errors" : "fewer_errors", { number });
}

function brings(node) {
  const { sure, gain, low, high, rows } = node.brings;
  if (sure === "unknown") return say("brings_unknown");
  const people = rows === null ? say("some") : rows.toLocaleString(texts.lang);
  return say(`brings_${sure}`, { rows: people, amount: amount(gain), low: amount(low), high: amount(high) });
}

function question(node, depth) {
  const name = `ask-${depth}`;
  const hint = element("p", { class: "hint", id: `${name}-hint` }, brings(node));
  const box = element("fieldset", { class: "question", "aria-describedby": hint.id, "data-ask": node.ask });
  box.append(element("legend", {}, nameOf("attributes", node.ask)), hint);
  const choices = Object.keys(node.branches).map((level) => [level, levelOf(node.ask, level)]);
  [...choices, [null, say("rather_not")]].forEach(([level, text], i) => {
    const id = `${name}-${i}`;
    const checked = told.has(node.ask) && told.get(node.ask) === level;
    const input = element("input", { type: "radio", name, id, checked, "data-level": level ?? "" });
    input.addEventListener("change", () => {
      told.set(node.ask, level);
      forget();
      ask(depth);
    });
    box.append(element("div", { class: "choice" }, input, element("label", { for: id }, text)));
  });
  return box;
}

// questions from some depth on: the answers before stay, those after may no longer be asked
function ask(changed = -1) {
  const asked = $("asked");
  while (asked.children.length > changed + 1) asked.lastChild.remove();
  let node = plan.tree, depth = 0;
  const needed = new Set();
  for (; node.ask; depth += 1) {
    needed.add(node.ask);
    if (depth > changed) asked.append(question(node, depth));
    if (!told.has(node.ask)) break;
    node = told.get(node.ask) === null ? node.declined : node.branches[told.get(node.ask)];
  }
  for (const name of told.keys()) if (!needed.has(name)) told.delete(name);
  if (!plan.tree.ask && !asked.children.length) asked.append(element("p", {}, say("nothing_to_ask")));
  return node;
}

const forget = () => { $("result").hidden = true; };

// measurements
function inputs() {
  plan.features.forEach((feature, j) => {
    const id = `feature-${j}`, hint = `${id}-hint`;
    const label = element("label", { for: id }, nameOf("features", feature.name));
    let field;
    if (feature.choices) {
      field = element("select", { id, name: feature.name });
      field.append(element("option", { value: "" }, say("not_known")));
      feature.choices.forEach((text) => field.append(element("option", { value: text }, nameOf("levels", text))));
      $("inputs").append(element("div", {}, label, field));
    } else {
      const needed = feature.numeric && feature.needed;
      field = element("input", {
        id, name: feature.name, type: "text", autocomplete: "off", inputmode: feature.numeric ? "decimal" : null,
        "aria-describedby": needed ? hint : null, "aria-required": needed ? "true" : null,
      });
      const told = needed ? [element("p", { class: "hint", id: hint }, say("number_needed"))] : [];
      $("inputs").append(element("div", {}, label, field, ...told));
    }
    field.addEventListener("input", forget);
  });
}

function measurements() {
  return plan.features.map((feature, j) => {
    const field = $(`feature-${j}`), text = field.value.trim();
    field.removeAttribute("aria-invalid");
    if (!feature.numeric) return field.value;
    const value = text === "" ? NaN : Number(text.includes(".") ? text : text.replace(",", "."));
    const lacking = text === "" && feature.needed;
    if (lacking || (text !== "" && !Number.isFinite(value))) {
      field.setAttribute("aria-invalid", "true");
      field.focus();
      throw new Problem(say(lacking ? "number_missing" : "number_wrong", { name: nameOf("features", feature.name) }));
    }
    return value;
  });
}

// answers
const numbers = (values) => plan.number === "float64"
  ? [ "float64", Float64Array.from(values) ] : [ "float32", Float32Array.from(values) ];

function feed(values, reports) {
  const n = reports.length, made = {};
  if (plan.joined) {
    const [type, data] = numbers(reports.flatMap(() => values));
    made[plan.joined] = new ort.Tensor(type, data, [n, values.length]);
  } else {
    plan.features.forEach((feature, j) => {
      const column = reports.map(() => values[j]);
      const [type, data] = feature.numeric ? numbers(column) : ["string", column];
      made[feature.input] = new ort.Tensor(type, data, [n, 1]);
    });
  }
  const k = plan.attributes.length, cells = reports.flat();
  const codes = cells.map((level, i) => BigInt(level === null ? 0 : 1 + plan.attributes[i % k].levels.indexOf(level)));
  made.report = plan.codes
    ? new ort.Tensor("int64", BigInt64Array.from(codes), [n, k])
    : new ort.Tensor("string", cells.map((level) => level ?? ""), [n, k]);
  return made;
}

async function answers(values, reports) {
  const found = await session.run(feed(values, reports));
  const shown = found.label ?? found.prediction;
  const width = found.probabilities?.dims[1] ?? 0;
  return reports.map((report, i) => ({
    report,
    label: String(shown.data[i]),
    number: found.prediction ? Number(shown.data[i]) : null,
    route: Number(found.route.data[i]),
    probabilities: width ? [...found.probabilities.data.slice(i * width, (i + 1) * width)] : null,
  }));
}

// what is told of an answer: the chance of the second of two classes, or of the predicted one
function chance(answer) {
  if (!answer.probabilities) return null;
  return answer.probabilities.length === 2 ? 1 : plan.classes.map(String).indexOf(answer.label);
}

function compared(own, other, which) {
  if (which !== null) {
    const pair = [other, own].map((answer) => percent(answer.probabilities[which]));
    if (pair[0] === pair[1] && own.label === other.label) return say("no_change");
    return say("answer_chance", { percent: pair[0], own: pair[1] });
  }
  const [label, mine] = [other, own].map((a) => (a.number === null ? nameOf("classes", a.label) : a.number.toPrecision(4)));
  return label === mine ? say("no_change") : say("answer_label", { label, own: mine });
}

async function show(node) {
  const values = measurements();
  const report = plan.attributes.map(({ name }) => told.get(name) ?? null);
  const given = report.flatMap((level, j) => (level === null ? [] : [j]));
  const less = given.map((j) => report.map((level, i) => (i === j ? null : level)));
  if (given.length > 1) less.push(report.map(() => null));
  let own, others;
  try {
    [own, ...others] = await answers(values, [report, ...less]);
  } catch (error) {
    throw new Problem(say("problem_run", { detail: String(error?.message ?? error).slice(0, 300) }));
  }
  const which = chance(own), box = element("div", {
    "data-label": own.label, "data-route": own.route, "data-report": JSON.stringify(report),
    "data-probabilities": own.probabilities ? JSON.stringify(own.probabilities) : null,
  });
  const label = own.number === null ? nameOf("classes", own.label) : own.number.toPrecision(4);
  box.append(element("p", { class: "main" }, say("predicted", { label })));
  if (which !== null) {
    const of = nameOf("classes", String(plan.classes[which]));
    box.append(element("p", {}, say("with_chance", { label: of, percent: percent(own.probabilities[which]) })));
  }
  const rows = node.brings?.rows ?? node.people;
  const people = rows === null || rows === undefined ? say("some") : rows.toLocaleString(texts.lang);
  box.append(element("p", {}, say(own.route === 0 ? "served_generic" : "served_other", { rows: people })));
  box.append(element("h3", {}, say("changed")));
  const list = element("ul", { id: "changes" });
  others.forEach((other, i) => {
    const answer = compared(own, other, which);
    const name = i < given.length ? nameOf("attributes", plan.attributes[given[i]].name) : "";
    list.append(element("li", {
      "data-label": other.label, "data-route": other.route, "data-report": JSON.stringify(other.report),
      "data-probabilities": other.probabilities ? JSON.stringify(other.probabilities) : null,
    }, say(name ? "without_one" : "without_all", { name, answer })));
  });
  box.append(others.length ? list : element("p", {}, say("told_nothing")));
  box.append(element("p", { class: "hint" }, say("mean_only")));
  $("answer").replaceChildren(box);
  $("result").hidden = false;
  $("result-title").focus();
  performance.mark("answered");
}

async function submit(event) {
  event.preventDefault();
  $("error").hidden = true;
  try {
    const node = ask(Number.MAX_SAFE_INTEGER - 1);
    if (node.ask) {
      document.querySelector(`[data-ask="${CSS.escape(node.ask)}"] input`)?.focus();
      throw new Problem(say("question_open", { name: nameOf("attributes", node.ask) }));
    }
    await show(node);
  } catch (error) {
    complain(error, $("error"));
  }
}

function complain(error, place) {
  place.textContent = error instanceof Problem ? error.message : `${say("problem")} ${error?.message ?? error}`;
  place.classList.add("problem");
  place.hidden = false;
}

// tabs and tables
function tabs() {
  const all = [...document.querySelectorAll('[role="tab"]')];
  const choose = (tab) => {
    for (const other of all) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      $(other.getAttribute("aria-controls")).hidden = !chosen;
    }
  };
  all.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, Home: -i, End: all.length - 1 - i }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const next = all[(i + step + all.length) % all.length];
      choose(next);
      next.focus();
    });
  });
}

const cell = (row, j) => row.cells[j]?.textContent.trim() ?? "";
const numeric = (text) => (/^[+-]?[\d.,]+/.test(text) ? Number(text.replace(/,/g, "").match(/^[+-]?[\d.]+/)[0]) : null);

function sortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, j) => {
    const name = head.textContent;
    if (!name.trim()) return;
    const button = element("button", { type: "button", "aria-label": say("sort", { name }) }, name);
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [cell(a, j), cell(b, j)], [p, q] = [numeric(x), numeric(y)];
        return p !== null && q !== null ? p - q : x.localeCompare(y);
      });
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    });
  });
}

async function start() {
  texts = await (await read("texts.json")).json();
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = say(place.dataset.text);
  document.documentElement.lang = texts.lang;
  $("status").textContent = say("loading");
  plan = await (await read("plan.json")).json();
  tabs();
  document.querySelectorAll("#panel-review table").forEach(sortable);
  await openSession();
  closeDoors();
  inputs();
  ask();
  $("form").hidden = false;
  $("form").addEventListener("submit", submit);
  $("form").addEventListener("reset", () => {
    told.clear();
    forget();
    $("error").hidden = true;
    setTimeout(() => { ask(-1); $("questions-title").focus(); });
  });
  $("status").textContent = say("ready");
  performance.mark("ready");
}

texts = { problem: "This page cannot compute predictions here.", problem_file: "A file of this page is missing or unreadable: {detail}. Please tell whoever put up this page to copy the whole folder." };
start().catch((error) => complain(error, $("status")));
