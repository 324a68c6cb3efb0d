/**
 * The restart monitor keeps containers as their labels want them (containerd's `containerd.io/restart.*`, see `restartLabels`).
 *
 *   wanted running, its task stopped or missing ──policy says so──► old task deleted ──► count + 1 ──► new task, started
 *   wanted stopped, its task there              ──────────────────► killed, task deleted
 *
 * Labelled containers are looked at every `interval`, and first when the daemon has found its tasks again, so that what was to run does
 * after a reboot. One that is created meanwhile is first looked at an interval later: its client is about to start it itself. The end of
 * a task is noticed at once: it is started again half a second later, then after twice that and so on up to the interval while it
 * doesn't stay up. That moment is for clients that stop and delete a container without changing its labels: a task that is gone by then
 * is left for the interval, as with containerd.
 */
export { ContainerRestarts, type RestartOptions } from "./monitor.ts";
export { isToRestart, parseRestartPolicy, type RestartPolicy, restartCount, restartLabels } from "./policy.ts";
