import type { Machine } from "./machine.ts";
import type { Setup } from "./setup.ts";

export const statuses = ["ok", "warn", "fail"] as const;
export type Status = (typeof statuses)[number];

/** What was found of one thing. */
export interface Finding {
  /** What was looked at, in a few words. */
  readonly name: string;
  readonly status: Status;
  /** What is there, or what is missing and what for. */
  readonly detail: string;
  /** How to mend it; there unless it is `ok`. */
  readonly fix?: string;
}

type Found = Finding | readonly Finding[];

/** Looks at one thing, or several of a kind. */
export type Check = (machine: Machine, setup: Setup) => Found | Promise<Found>;

export const ok = (name: string, detail: string): Finding => ({ name, status: "ok", detail });
export const warn = (name: string, detail: string, fix: string): Finding => ({ name, status: "warn", detail, fix });
export const fail = (name: string, detail: string, fix: string): Finding => ({ name, status: "fail", detail, fix });
