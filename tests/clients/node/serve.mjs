// Answers questions about one bundle. Standard input, one JSON object:
//   {"runtime": "onnxruntime-node" or "onnxruntime-web", "model": path,
//    "questions": [{input: {"type", "dims", "data"}}, ...]}
// Standard output: one answer per question, {output: [values]}, or {"error": message}.
import { readFileSync } from "node:fs";

const { runtime, model, questions } = JSON.parse(readFileSync(0, "utf8"));
const loaded = await import(runtime);
const ort = loaded.default ?? loaded;
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(model));

function tensor({ type, dims, data }) {
  const missing = type === "string" ? "" : NaN;
  const values = data.map((value) => value ?? missing);
  return new ort.Tensor(type, type === "int64" ? BigInt64Array.from(values, BigInt) : values, dims);
}

async function answer(question) {
  const feeds = Object.entries(question).map(([name, value]) => [name, tensor(value)]);
  try {
    const found = await session.run(Object.fromEntries(feeds));
    return Object.fromEntries(
      session.outputNames.map((name) => [name, Array.from(found[name].data, plain)]),
    );
  } catch (error) {
    return { error: String(error.message) };
  }
}

function plain(value) {
  return typeof value === "bigint" ? Number(value) : value;
}

const answers = [];
for (const question of questions) answers.push(await answer(question));
process.stdout.write(JSON.stringify(answers));
