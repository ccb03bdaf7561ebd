/**
 * Plain POSIX sh on the host. Arguments: how many seconds a lock is waited for, then the command that installs; without packages after
 * its options (`--` ends it) nothing but the repair is done. Nothing reads the script's own input. Its exit code is that of the
 * installation.
 *
 * dnf either waits for another one without end or not at all, and rpm without end: both are waited for here, before it is called. A
 * transaction that was cut off leaves packages in two versions, of which dnf takes the older out and installs the newer again, which
 * runs its scripts; or, cut off earlier, files of which some are of the new version already: those packages are installed again as they
 * were, before they are updated. Where no source has them any more, that fails and is said, and the installation goes on: whether it
 * has mended them is looked for after it.
 *
 * Where only what is foreseen may be installed, dnf is asked right before: it has no question of its own once it knows.
 */
export const DNF_INSTALL_SCRIPT = String.raw`
wait=$1
shift
holder() {
  for file in /var/cache/dnf/metadata_lock.pid /var/cache/dnf/download_lock.pid /var/lib/dnf/rpmdb_lock.pid; do
    pid=$(cat "$file" 2>/dev/null)
    if [ -n "$pid" ] && [ -e "/proc/$pid/stat" ]; then
      echo "$(cat "/proc/$pid/comm" 2>/dev/null) (process $pid) holds $file"
      return
    fi
  done
  lslocks -r -n -o COMMAND,PID,PATH 2>/dev/null | grep -E ' (/var/lib|/usr/lib/sysimage)/rpm/\.rpm\.lock$' | head -n 1
}
left=$wait
while held=$(holder) && [ -n "$held" ]; do
  if [ "$left" -le 0 ]; then
    echo "fettle: locked: $held"
    exit 75
  fi
  if [ "$left" = "$wait" ]; then echo "$held; it is waited for"; fi
  sleep 2
  left=$((left - 2))
done
known() {
  dnf -q --setopt=exit_on_lock=True '--disablerepo=*' "$@" </dev/null 2>/dev/null
}
locked() {
  if [ "$1" = 200 ]; then
    echo 'fettle: locked: another dnf holds a lock'
    exit 75
  fi
}
unended() {
  open=
  while read -r one two three four; do
    case "$one $two" in
      'Transaction ID') open= ;;
      'End rpmdb') if [ "$three $four" = ': **' ]; then open=yes; fi ;;
      'Return-Code :') if [ "$three" = '**' ]; then open=yes; fi ;;
      '** '[A-Za-z]*) if [ -n "$open" ]; then printf '%s\n' "$three"; fi ;;
    esac
  done
}
again() {
  printf '%s\n' "$1" | xargs -r dnf -y reinstall --setopt=exit_on_lock=True
}
# Of packages that are named, those whose files are not as the package has them.
unsound() {
  while read -r one; do
    rpm -q "$one" >/dev/null 2>&1 || continue
    if [ -n "$(rpm -V --nodeps --noscripts --noconfig --noghost --nomtime --nouser --nogroup --nomode --nocaps "$one")" ]; then
      printf '%s\n' "$one"
    fi
  done
}
failed=
torn=
repair() {
  twice=$(rpm -qa --qf '%{NAME} %{ARCH}\n' | sort | uniq -d)
  if [ -n "$twice" ]; then
    twice=$(known repoquery --duplicates)
    locked $?
  fi
  if [ -n "$twice" ]; then
    dnf -y remove --duplicates --setopt=exit_on_lock=True </dev/null
    ended $?
    return
  fi
  begun=$(known history info last last-1 last-2 last-3 last-4)
  locked $?
  torn=$(printf '%s\n' "$begun" | unended | grep -E '^[A-Za-z0-9]' | sort -u | unsound)
  if [ -n "$torn" ]; then
    again "$torn"
    ended $?
  fi
}
ended() {
  echo "fettle: repaired $1"
  if [ "$1" != 0 ]; then failed=yes; fi
}
# Once the repair has failed: whether what it was for is mended all the same.
mended() {
  twice=$(known repoquery --duplicates) || return
  [ -z "$twice" ] && [ -z "$(printf '%s\n' "$torn" | unsound)" ]
}
others() {
  { printf '%s\n\n' "$foreseen" && cat; } | awk '
    !told { if ($0 == "") told = 1; else may[$0]; next }
    $1 == "--->" && $2 == "Package" && / will be (installed|an upgrade|a downgrade|reinstalled|obsoleting)$/ {
      sub(/\.[a-z0-9_]+$/, "", $3)
      if (!($3 in may) && !(($3 "=" $4) in may)) print "fettle: unforeseen " $3 " " $4
    }'
}
repair
code=0
for last; do :; done
if [ "$last" != -- ]; then
  more=
  if [ -n "$foreseen" ]; then
    told=$(shift && dnf -v --assumeno "$@" 2>&1 </dev/null)
    more=$(printf '%s\n' "$told" | others)
  fi
  if [ -n "$more" ]; then
    printf '%s\n' "$more"
    code=1
  else
    "$@" </dev/null
    code=$?
  fi
fi
if [ -n "$failed" ] && mended; then echo 'fettle: mended'; fi
echo "fettle: ended $code"
known needs-restarting -s | grep -E '\.service$' | sed 's/^/fettle: service /'
exit "$code"
`;
