import { LIBRARY, script } from './library.js';

/**
 * Ends all processes of a detached command but those that keep its output and time: TERM, a grace, KILL, a look. Arguments: leader,
 * its session, the command's process (or empty), tenths of a second of grace, those to spare. The last line is `gone` or `left`.
 * sudo may have put the command in a session of its own, whose leader is then a child of a process of the leader's session.
 */
const KILL_DETACHED = String.raw`
f_leader=$1 f_home=$2 f_command=$3 f_grace=$4 f_spared=" $5 "
read_stat() {
  { IFS= read -r f_line <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- \${f_line##*) }
  f_state=$1 f_parent=$2 f_group=$3 f_session=$4
}
f_sessions=" $f_home "
if [ -n "$f_command" ] && read_stat "$f_command" && [ "$f_session" != "$f_home" ]; then
  f_own=$f_session
  if read_stat "$f_own" && read_stat "$f_parent" && [ "$f_session" = "$f_home" ]; then f_sessions=" $f_home $f_own "; fi
fi
f_self=$$ f_mine=" $$ "
while [ "$f_self" -gt 1 ] && read_stat "$f_self"; do f_self=$f_parent f_mine="$f_mine$f_self "; done
members() {
  f_found=
  for f_path in /proc/[0-9]*; do
    f_pid=\${f_path#/proc/}
    read_stat "$f_pid" || continue
    case $f_state in Z | X) continue ;; esac
    case $f_sessions in *" $f_session "*) ;; *) continue ;; esac
    [ "$f_pid" != "$f_leader" ] && [ "$f_parent" != "$$" ] || continue
    case "$f_mine$f_spared" in *" $f_pid "*) continue ;; esac
    case $f_spared in *" $f_parent "*) continue ;; esac
    f_found="$f_found $f_pid"
  done
  [ -n "$f_found" ]
}
members
for f_pid in $f_found; do kill -TERM "$f_pid" 2>/dev/null; done
f_count=0
while members; do
  [ "$f_count" -lt "$f_grace" ] || break
  f_count=$((f_count + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
f_count=0
while members; do
  [ "$f_count" -lt 20 ] || break
  for f_pid in $f_found; do kill -KILL "$f_pid" 2>/dev/null; done
  f_count=$((f_count + 1))
  sleep 0.1 2>/dev/null || sleep 1
done
if members; then echo left; else echo gone; fi
`;

/**
 * The shell that sudo starts: takes variables up to a line with the nonce (a password that sudo did not ask for comes before), says
 * which process it is, and becomes the command. Arguments: nonce, directory or empty, `input` where the command reads any.
 */
const BECOME = String.raw`
f_nonce=$1 f_cwd=$2 f_input=$3
shift 3
f_line= f_text=
while IFS= read -r f_line; do [ "$f_line" != "$f_nonce-begin" ] || break; done
while IFS= read -r f_line; do
  [ "$f_line" != "$f_nonce-end" ] || break
  f_text="$f_text$f_line
"
done
[ "$f_line" = "$f_nonce-end" ] || exit 125
[ -z "$f_cwd" ] || cd -- "$f_cwd" || { printf '%s directory\n' "$f_nonce" >&2; exit 125; }
eval "$f_text"
[ -n "$f_input" ] || exec </dev/null
printf '%s begun %s\n' "$f_nonce" "$$" >&2
exec "$@"
`;

/**
 * The leader of a detached command, in a session of its own: takes its input, makes the claim, runs the command, keeps its output and
 * time, and writes how it ended. Its standard output is a pipe whose end tells the follower that the command is over.
 */
const LEAD = String.raw`
f_ticker=$1 f_kill=$2 f_become_script=$3 f_who=$4 f_token=$5 f_nonce=$6 f_fence=$7
shift 7
f_limit=$1 f_size=$2 f_cwd=$3 f_user=$4 f_asks=$5
shift 5
f_input=/dev/null
${LIBRARY}
say() { [ "$f_size" -lt 0 ] || rm -f "$f_input"; kill "$f_ticker" 2>/dev/null; printf '!%s\n' "$*"; exit 0; }
f_password= f_variables= f_line=
[ -z "$f_asks" ] || IFS= read -r f_password
while IFS= read -r f_line; do
  [ "$f_line" != "$f_nonce-end" ] || break
  f_variables="$f_variables$f_line
"
done
[ "$f_line" = "$f_nonce-end" ] || say incomplete
if [ "$f_size" -ge 0 ]; then
  f_input=$f_dir/stdin.$$
  cat >"$f_input" || say "unwritable $f_input"
  f_count=$(wc -c <"$f_input")
  [ "$((f_count))" -eq "$f_size" ] || say incomplete
fi
exec </dev/null
mkfifo "$f_dir/out.$$" "$f_dir/err.$$" || say "unwritable no pipe can be made in $f_dir"
pass_fence
read_stat $$
read -r f_uptime f_rest </proc/uptime
read -r f_boot </proc/sys/kernel/random/boot_id
if ! ln -s "run:$f_fence:$$:$f_start:$f_session:\${f_uptime%.*}:$f_boot" "$f_dir/claim" 2>/dev/null; then
  rm -f "$f_dir/out.$$" "$f_dir/err.$$"
  [ -L "$f_dir/claim" ] || say "unwritable no link can be made in $f_dir"
  say exists
fi
f_at_once=
command -v stdbuf >/dev/null 2>&1 && f_at_once='stdbuf -o0'
keep() {
  $f_at_once head -c "$f_head" >>"$f_dir/$1"
  LC_ALL=C dd bs=65536 2>"$f_dir/$1.count" | tail -c "$f_tail" >"$f_dir/$1.tail"
  : >"$f_dir/$1.done"
}
keep_errors() {
  while IFS= read -r f_line; do
    case $f_line in
      "$f_nonce begun "*)
        f_pid=\${f_line##* }
        read_stat "$f_pid" || f_start=0
        printf '%s %s\n' "$f_pid" "$f_start" >"$f_dir/begun"
        break
        ;;
      "$f_nonce directory") : >"$f_dir/directory" ;;
      *) printf '%s\n' "$f_line" >>"$f_dir/noise" ;;
    esac
  done
  keep stderr
}
nap() {
  trap 'kill "$f_nap" 2>/dev/null; exit 0' TERM
  sleep "$1" &
  f_nap=$!
  wait "$f_nap"
}
feed_password() { [ -z "$f_asks" ] || printf '%s\n\n\n' "$f_password"; }
become() {
  if [ -n "$f_asks" ]; then sudo -S -p '' -H -u "$f_user" -- "$@"; else sudo -n -H -u "$f_user" -- "$@"; fi
}
keep_time() {
  nap "$f_limit"
  trap - TERM
  : >"$f_dir/timeout"
  f_command= f_own=
  { read -r f_command f_rest <"$f_dir/begun"; } 2>/dev/null
  read -r f_own <"$f_dir/own"
  set -- /bin/sh -c "$f_kill" fettle "$f_leader" "$f_leader_session" "$f_command" 20 "$f_own"
  if [ -z "$f_user" ]; then "$@"; else feed_password | become "$@"; fi
}
launch() {
  if [ -n "$f_user" ]; then
    f_reads=
    [ "$f_size" -lt 0 ] || f_reads=input
    {
      feed_password
      printf '%s-begin\n%s%s-end\n' "$f_nonce" "$f_variables" "$f_nonce"
      [ "$f_size" -lt 0 ] || cat "$f_input"
    } 2>/dev/null | become /bin/sh -c "$f_become_script" fettle "$f_nonce" "$f_cwd" "$f_reads" "$@"
    return
  fi
  (
    [ -z "$f_cwd" ] || cd -- "$f_cwd" || { printf '%s directory\n' "$f_nonce" >&2; exit 125; }
    read -r f_self f_rest </proc/self/stat
    eval "$f_variables"
    printf '%s begun %s\n' "$f_nonce" "$f_self" >&2
    exec "$@" <"$f_input"
  )
}
f_leader=$$ f_leader_session=$f_session
keep stdout <"$f_dir/out.$$" 5>&- >/dev/null 2>&1 &
f_first=$!
keep_errors <"$f_dir/err.$$" 5>&- >/dev/null 2>&1 &
f_second=$!
exec 5>&1 >/dev/null
keep_time 5>&- </dev/null >/dev/null 2>&1 &
f_third=$!
printf '%s\n' "$f_first $f_second $f_third" >"$f_dir/own"
launch "$@" >"$f_dir/out.$$" 2>"$f_dir/err.$$" 5>&-
f_code=$?
if [ -e "$f_dir/timeout" ]; then wait "$f_third"; else kill "$f_third" 2>/dev/null; fi
f_left=whole
if [ ! -e "$f_dir/stdout.done" ] || [ ! -e "$f_dir/stderr.done" ]; then
  { nap 2; kill "$f_first" "$f_second"; } 5>&- 2>/dev/null &
  f_guard=$!
  wait "$f_first"
  wait "$f_second"
  kill "$f_guard" 2>/dev/null
  [ -e "$f_dir/stdout.done" ] && [ -e "$f_dir/stderr.done" ] || f_left=left
fi
f_how=exit
if [ -e "$f_dir/timeout" ]; then f_how=timeout
elif [ -e "$f_dir/directory" ]; then f_how=directory
elif [ ! -e "$f_dir/begun" ]; then f_how=refused
fi
printf 'ended %s %s %s\n' "$f_code" "$f_how" "$f_left" >"$f_dir/exit.new"
mv -f "$f_dir/exit.new" "$f_dir/exit"
rm -f "$f_dir/out.$$" "$f_dir/err.$$" "$f_dir/stdin.$$"
kill "$f_ticker" 2>/dev/null
exit 0
`;

export const KILL_DETACHED_SCRIPT = script(KILL_DETACHED);
export const BECOME_SCRIPT = script(BECOME);
export const LEAD_SCRIPT = script(LEAD);
