// A program written with OpenCode's SDK, which knows an address and a header and no gateway.
//   node sdk.mjs stream|turn BASE_URL PROMPT     with AUTHORIZATION in the environment
// Prints one line of JSON: what it heard of the conversation it created.
import { createOpencodeClient } from "@opencode-ai/sdk"

const [what, baseUrl, prompt] = process.argv.slice(2)
const client = createOpencodeClient({
  baseUrl,
  headers: { Authorization: process.env.AUTHORIZATION },
  throwOnError: true,
})
const { data: conversation } = await client.session.create({ body: { title: prompt } })
const asked = { path: { id: conversation.id }, body: { parts: [{ type: "text", text: prompt }] } }

async function turn() {
  const began = performance.now()
  const { data } = await client.session.prompt(asked)
  const text = data.parts.filter((part) => part.type === "text").map((part) => part.text)
  return { text: text.join(""), seconds: (performance.now() - began) / 1000 }
}

async function stream() {
  const deltas = []
  const { stream } = await client.global.event()
  for await (const { payload } of stream) {
    const { type, properties } = payload
    if (type === "server.connected") await client.session.promptAsync(asked)
    if (properties?.sessionID !== conversation.id) continue
    if (type === "message.part.delta") deltas.push(properties.delta)
    if (type === "session.idle") return { deltas }
  }
}

console.log(JSON.stringify({ conversation: conversation.id, ...(await { stream, turn }[what]()) }))
process.exit(0)
