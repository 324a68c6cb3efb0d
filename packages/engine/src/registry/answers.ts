import { type HullError, notFound, permissionDenied, unauthenticated, unavailable, unknown } from "@hull/errors";
import { discard, displayUrl } from "./request.ts";

const maxErrorBody = 64 * 1024;

/** Makes an error of a response that isn't what was asked for, with the first of the registry's own error texts. */
export async function errorOf(response: Response, method: string, url: URL): Promise<HullError> {
  const detail = await detailOf(response);
  const text = `"${method} ${displayUrl(url)}" was answered with ${response.status}${detail === "" ? "" : `: ${detail}`}`;
  switch (response.status) {
    case 401:
      return unauthenticated(`${text}: log in, or check the credentials`);
    case 403:
      return permissionDenied(text);
    case 404:
      return notFound(text);
    case 408:
    case 429:
      return unavailable(text);
    default:
      return response.status >= 500 ? unavailable(text) : unknown(text);
  }
}

/** The list `errors` of the OCI distribution spec, section "Error Codes": `[{code, message, detail}]`. */
async function detailOf(response: Response): Promise<string> {
  if (
    !(response.headers.get("content-type") ?? "").includes("json") ||
    Number(response.headers.get("content-length") ?? 0) > maxErrorBody
  ) {
    await discard(response);
    return "";
  }
  try {
    const { errors } = (await response.json()) as { errors?: { code?: unknown; message?: unknown }[] };
    const [first] = errors ?? [];
    return [first?.code, first?.message]
      .filter((part) => typeof part === "string" && part !== "")
      .join(": ")
      .slice(0, 300);
  } catch {
    return "";
  }
}
