/** Folders of ended commands that are cleared at once; clearing must not crowd out commands. */
const MAX_AT_ONCE = 16;
/** Beyond this they are left to the hosts, which clear old ones by themselves. */
const MAX_WAITING = 10_000;

type Clear = () => Promise<void>;

const waiting: Clear[] = [];
let underWay = 0;

/** Clears on hosts what ended commands left there, in the background; what fails is cleared when it is old. */
export function clearLater(clears: readonly Clear[]): void {
  waiting.push(...clears.slice(0, MAX_WAITING - waiting.length));
  while (underWay < MAX_AT_ONCE && waiting.length > 0) {
    underWay += 1;
    void clearNext();
  }
}

async function clearNext(): Promise<void> {
  for (let clear = waiting.shift(); clear !== undefined; clear = waiting.shift()) {
    await clear().catch(() => undefined);
  }
  underWay -= 1;
}
