/** What the output of the installation tells beside the log: errors of dpkg by package, and what needrestart found. */
export class AptInstallReport {
  /** What dpkg said of packages that it could not process. */
  readonly errors = new Map<string, string>();
  /** Lines of apt's own errors. */
  readonly complaints: string[] = [];
  /** Services that run with files that are no longer there. */
  readonly services: string[] = [];
  isRepaired = false;
  readonly #rests = { stdout: '', stderr: '' };
  #failing: string | undefined;

  /** Takes the output as it comes, in any pieces. */
  add(stream: 'stdout' | 'stderr', text: string): void {
    // What is written over itself on a terminal is a line each.
    const lines = (this.#rests[stream] + text).split(/[\r\n]/);
    this.#rests[stream] = (lines.pop() ?? '').slice(-MAX_LINE_CHARACTERS);
    for (const line of lines) this.#line(line.slice(0, MAX_LINE_CHARACTERS));
  }

  #line(line: string): void {
    if (this.#failing !== undefined) {
      // The reason stands on the line after.
      if (line.startsWith(' ')) this.errors.set(this.#failing, line.trim());
      this.#failing = undefined;
    }
    const processing = /^dpkg: error processing (?:package|archive) (\S+) \(/.exec(line)?.[1];
    if (processing !== undefined) this.#begin(processing);
    else if (/(?:^|\s)E: /.test(line)) keep(this.complaints, line.replace(/^(?:.*\s)?E: /, ''));
    else if (line.startsWith('fettle: NEEDRESTART-SVC: ')) keep(this.services, line.slice(25).trim());
    else if (line.startsWith('fettle: repaired ')) this.isRepaired = true;
  }

  #begin(subject: string): void {
    // An archive is a path such as /var/cache/apt/archives/app_2.0_all.deb.
    const name = (subject.split('/').at(-1) ?? subject).replace(/[_:].*$/, '');
    if (this.errors.size >= MAX_KEPT && !this.errors.has(name)) return;
    this.errors.set(name, 'dpkg could not process it');
    this.#failing = name;
  }
}

const MAX_LINE_CHARACTERS = 2_000;
const MAX_KEPT = 200;

function keep(lines: string[], line: string): void {
  if (lines.length < MAX_KEPT) lines.push(line);
}
