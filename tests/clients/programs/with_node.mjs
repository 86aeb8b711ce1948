// OpenAI's package for Node: every way to ask, printed as JSON.
import OpenAI from "openai";

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: "none", maxRetries: 0 });
const asked = { model: "my", prompt: "abc", max_tokens: 40, seed: 1 };
const found = {};
const answer = await client.completions.create(asked);
found.complete = answer.choices[0].text;
found.usage = answer.usage;
found.stream = "";
for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
  found.stream += chunk.choices[0].text;
}
found.several = (await client.completions.create({ ...asked, n: 3, logprobs: 2, echo: true })).choices.map((each) => each.text);
found.vectors = (await client.embeddings.create({ model: "my", input: ["abc", "de"] })).data.map((each) => each.embedding);
found.models = [];
for await (const model of client.models.list()) found.models.push(model.id);
found.model = (await client.models.retrieve("plays")).id;
for (const [name, ask] of Object.entries({
  refused: () => client.completions.create({ ...asked, temperature: 3 }),
  missing: () => client.completions.create({ ...asked, model: "none" }),
  chat: () => client.chat.completions.create({ model: "my", messages: [] }),
})) {
  await ask().catch((error) => (found[name] = [error.constructor.name, error.code ?? error.param, error.message]));
}
console.log(JSON.stringify(found));
