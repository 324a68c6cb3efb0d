import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ContentDefinition } from "@hull/api/gen/containerd/services/content/v1/content";
import type { Client } from "@hull/client/client";
import { readContent, writeContent } from "@hull/client/content";
import { HullError } from "@hull/errors";
import { digestOf } from "@hull/oci/digest";
import type { CtrAction } from "./action.ts";
import { withClient } from "./connect.ts";
import { checkDigest } from "./content.ts";
import { CtrError } from "./errors.ts";
import type { contentEdit } from "./flags.ts";
import { formatLabels, parseLabels } from "./labels.ts";

export const labelContent: CtrAction = ({ args: [digest = "", ...texts], globals, host }) => {
  checkDigest(digest);
  return withClient(globals, async (client) => {
    const labels = parseLabels(texts);
    const updateMask = Object.keys(labels).map((key) => `labels.${key}`);
    const { info } = await client.service(ContentDefinition).update({ info: { digest, labels }, updateMask });
    await host.out(`${formatLabels(info?.labels ?? {})}\n`);
    return 0;
  });
};

export const editContent: CtrAction<typeof contentEdit> = ({ flags, args: [digest = ""], globals, host }) => {
  if (flags.validate !== undefined && flags.validate !== "")
    throw new CtrError("validating the edit result not supported");
  checkDigest(digest);
  return withClient(globals, async (client) => {
    const before: Uint8Array[] = [];
    for await (const data of readContent(client, digest)) before.push(data);
    const editor = flags.editor ?? "";
    if (editor === "") throw new CtrError("editor is required");
    const after = await edited(Buffer.concat(before), editor);
    await writeBlob(client, `edit-${digest}`, after);
    await host.out(`${digestOf(after)}\n`);
    return 0;
  });
};

/** What an editor, a command with its arguments as people have it in $EDITOR, makes of the bytes. @throws CtrError if it fails */
async function edited(bytes: Uint8Array, editor: string): Promise<Uint8Array> {
  const directory = mkdtempSync(join(process.env.XDG_RUNTIME_DIR ?? tmpdir(), "edit-"));
  try {
    const file = join(directory, "content");
    writeFileSync(file, bytes, { mode: 0o600 });
    const [program = "", ...args] = editor.trim().split(/\s+/);
    const status = await new Promise<number | string>((resolve, reject) => {
      const child = spawn(program, [...args, file], { stdio: "inherit" });
      child.once("error", reject);
      child.once("close", (code, signal) => resolve(code ?? signal ?? 1));
    });
    if (status !== 0) throw new CtrError(typeof status === "number" ? `exit status ${status}` : `signal: ${status}`);
    // Read by its name: editors write a new file in its place.
    return readFileSync(file);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @throws HullError in the words of containerd's client */
async function writeBlob(client: Client, ref: string, bytes: Uint8Array): Promise<void> {
  async function* source() {
    yield bytes;
  }
  try {
    await writeContent(client, ref, source());
  } catch (error) {
    const { code, message } = HullError.from(error);
    throw new HullError(code, `commit failed: ${message}`, { cause: error });
  }
}
