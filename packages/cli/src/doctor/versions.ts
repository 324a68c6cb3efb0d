/** Whether a version comes before another, by its first three numbers: of `6.12.1-amd64`, `1.1.5+ds1`, `3.16`. */
export function isOlder(version: string, than: string): boolean {
  const numbers = (text: string): number[] => text.split(/[.+~-]/).map(Number);
  const [one, other] = [numbers(version), numbers(than)];
  const at = [0, 1, 2].find((index) => (one[index] || 0) !== (other[index] || 0)) ?? 0;
  return (one[at] || 0) < (other[at] || 0);
}
