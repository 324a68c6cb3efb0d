/** Starts the service: `node main.ts [PORT]`. With HULL_ENGINE_ROOT it has an engine of its own there, else it goes to the daemon. */
import { connect, type Hull } from "@hull/client";
import { createApp } from "./app.ts";

const root = process.env.HULL_ENGINE_ROOT;
const port = Number(process.argv[2] ?? 8080);

async function open(): Promise<Hull> {
  if (root === undefined) return await connect();
  const { Engine } = await import("@hull/embed");
  return await Engine.open({ root, containers: "end" });
}

await using hull = await open();
const app = await createApp(hull);
const ended = new Promise<void>((resolve) => {
  app.once("close", resolve);
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      app.close();
      app.closeAllConnections();
    });
  }
});
app.listen(port, "127.0.0.1", () => {
  const address = app.address();
  console.error(`http://127.0.0.1:${typeof address === "object" ? address?.port : port}/`);
});
await ended;
