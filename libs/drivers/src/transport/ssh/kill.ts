/**
 * Ends a session's processes: TERM, a grace, KILL, and a look whether they are gone. Plain POSIX sh.
 * Arguments: id of the session's first process; that of the first process after sudo, or empty; tenths of a second of grace.
 * The last line is `gone` or `left`.
 *
 * A process group is not enough: programs such as timeout(1) make their own. Linux tells in /proc which processes belong to
 * the session (proc(5): fields 4 to 6 of stat are parent, group, session); zombies count as gone. sudo may put the command in a
 * session of its own, whose leader is then a child of the session's first process: anything else could be a recycled id.
 */
export const KILL_SCRIPT = String.raw`
login=$1 become=$2 grace=$3
ids=$login
[ -z "$become" ] || ids="$login $become"
proc=
[ ! -r "/proc/$$/stat" ] || proc=1
read_stat() {
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  rest=\${line##*) }
  set -- $rest
  state=$1 parent=$2 group=$3 session=$4
}
if [ -n "$proc" ] && [ -n "$become" ] && read_stat "$become" && [ "$session" != "$login" ]; then
  own=$session
  if read_stat "$own" && [ "$parent" = "$login" ]; then ids="$ids $own"; fi
fi
members() {
  found=
  for directory in /proc/[0-9]*; do
    pid=\${directory#/proc/}
    read_stat "$pid" || continue
    case $state in Z | X) continue ;; esac
    for id in $ids; do
      if [ "$group" = "$id" ] || [ "$session" = "$id" ]; then found="$found $pid"; break; fi
    done
  done
}
signal_all() {
  for id in $ids; do kill "-$1" -- "-$id" 2>/dev/null; done
  [ -n "$proc" ] || return 0
  members
  for pid in $found; do kill "-$1" "$pid" 2>/dev/null; done
}
alive() {
  if [ -n "$proc" ]; then members; [ -n "$found" ]; return; fi
  for id in $ids; do kill -0 -- "-$id" 2>/dev/null && return 0; done
  return 1
}
signal_all TERM
count=0
while alive; do
  [ "$count" -lt "$grace" ] || break
  count=$((count + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
count=0
while alive; do
  [ "$count" -lt 20 ] || break
  signal_all KILL
  count=$((count + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
if alive; then echo left; else echo gone; fi
`.replaceAll('\\$', '$');

/** Arguments for a POSIX shell that ends the processes of a session. */
export function killArgv(loginPid: number, becomePid: number | undefined, graceMs: number): string[] {
  const tenths = String(Math.ceil(graceMs / 100));
  return [
    '/bin/sh',
    '-c',
    KILL_SCRIPT,
    'fettle',
    String(loginPid),
    becomePid === undefined ? '' : String(becomePid),
    tenths,
  ];
}
