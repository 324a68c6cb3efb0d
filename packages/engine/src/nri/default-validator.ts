/**
 * The validator that is built in: it rejects what plugins may not change of a container, and containers that a plugin which has to see them
 * didn't. Keys, texts and annotations are those of NRI's default validator.
 */

import {
  Field,
  SecurityProfile_ProfileType,
  type ValidateContainerAdjustmentRequest,
} from "@hull/api/gen/nri/v1alpha1/nri";
import { HullError, permissionDenied } from "@hull/errors";

/** What it rejects; see the plugin's configuration. */
export interface ValidatorRules {
  readonly rejectHooks: boolean;
  readonly rejectRuntimeDefaultSeccomp: boolean;
  readonly rejectUnconfinedSeccomp: boolean;
  readonly rejectCustomSeccomp: boolean;
  readonly rejectNamespaces: boolean;
  readonly rejectSysctls: boolean;
  /** Plugins that every container has to go through, by name or `index-name`. */
  readonly requiredPlugins: readonly string[];
  /** Annotation by which a pod tolerates that they are missing; empty: none does. */
  readonly tolerateMissingAnnotation: string;
}

const validator = "00-default-validator";
const requiredAnnotation = "required-plugins.noderesource.dev";
const { RUNTIME_DEFAULT, UNCONFINED } = SecurityProfile_ProfileType;

/** @throws PermissionDenied naming the rule and who broke it */
export async function validateByRules(
  rules: ValidatorRules,
  request: ValidateContainerAdjustmentRequest,
): Promise<void> {
  const broken = brokenRule(rules, request) ?? (await missingPlugins(rules, request));
  if (broken !== undefined)
    throw permissionDenied(`validator "${validator}" rejected container adjustment, reason: ${broken}`);
}

function brokenRule(
  rules: ValidatorRules,
  { adjust, owners, container }: ValidateContainerAdjustmentRequest,
): string | undefined {
  const { simple = {}, compound = {} } = owners?.owners[container?.id ?? ""] ?? {};
  if (adjust === undefined) return undefined;
  const hooks = simple[Field.OciHooks];
  if (rules.rejectHooks && hooks !== undefined)
    return `validation error: plugin${hooks.includes(",") ? "s" : ""} "${hooks}" attempted restricted OCI hook injection`;
  const seccomp = simple[Field.SeccompPolicy];
  const policy = seccompRule(rules, container?.linux?.seccompProfile?.profileType ?? UNCONFINED);
  if (seccomp !== undefined && policy !== undefined)
    return `validation error: plugin ${seccomp} attempted restricted ${policy} seccomp policy adjustment`;
  const namespaces = Object.entries(compound[Field.Namespace]?.owners ?? {});
  if (rules.rejectNamespaces && namespaces.length > 0) {
    const offenders = namespaces.map(([namespace, plugin]) => `"${plugin}" (namespace "${namespace}")`);
    return `validation error: attempted restricted namespace adjustment by plugin(s) ${offenders.join(", ")}`;
  }
  const sysctls = compound[Field.Sysctl]?.owners ?? {};
  const offenders = Object.keys(adjust.linux?.sysctl ?? {}).flatMap((name) => sysctls[name] ?? []);
  if (rules.rejectSysctls && offenders.length > 0)
    return `validation error: attempted restricted sysctl adjustment by plugin(s) ${offenders.join(", ")}`;
  return undefined;
}

/** Which kind of policy may not be changed, if the container's is of it. */
function seccompRule(rules: ValidatorRules, type: number): string | undefined {
  if (type === UNCONFINED) return rules.rejectUnconfinedSeccomp ? "unconfined" : undefined;
  if (type === RUNTIME_DEFAULT) return rules.rejectRuntimeDefaultSeccomp ? "runtime default" : undefined;
  return rules.rejectCustomSeccomp ? "custom" : undefined;
}

async function missingPlugins(
  { requiredPlugins, tolerateMissingAnnotation }: ValidatorRules,
  { pod, container, plugins }: ValidateContainerAdjustmentRequest,
): Promise<string | undefined> {
  const annotation = (key: string): string | undefined => {
    const annotations = pod?.annotations ?? {};
    return annotations[`${key}/container.${container?.name ?? ""}`] ?? annotations[`${key}/pod`] ?? annotations[key];
  };
  if (tolerateMissingAnnotation !== "") {
    const tolerates = annotation(tolerateMissingAnnotation);
    if (tolerates !== undefined) {
      const value = parseBool(tolerates);
      if (value === undefined)
        return `invalid ${tolerateMissingAnnotation} annotation "${tolerates}": it is neither true nor false`;
      if (value) return undefined;
    }
  }
  const required = [...requiredPlugins];
  const wished = annotation(requiredAnnotation);
  if (wished !== undefined) {
    const names = await namesOf(wished);
    if (typeof names === "string") return `invalid ${requiredAnnotation} annotation "${wished}": ${names}`;
    required.push(...names);
  }
  const present = new Set(plugins.flatMap(({ name, index }) => [name, `${index}-${name}`]));
  const missing = required.filter((name) => !present.has(name));
  if (missing.length === 0) return undefined;
  return `validation error: required plugin${missing.length === 1 ? "" : "s"} "${missing.join(",")}" not present`;
}

/** A list in YAML, or what is wrong with it. */
async function namesOf(text: string): Promise<string[] | string> {
  const { parse } = await import("yaml");
  try {
    const value: unknown = parse(text);
    if (Array.isArray(value) && value.every((name): name is string => typeof name === "string")) return value;
    return "it is no list of names";
  } catch (error) {
    return HullError.from(error).message;
  }
}

/** As Go reads one. */
function parseBool(text: string): boolean | undefined {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(text)) return true;
  return ["0", "f", "F", "false", "FALSE", "False"].includes(text) ? false : undefined;
}
