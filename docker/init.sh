#!/bin/sh
# Makes a Couchbase Server ready for Sync Gateway and zerocloud: cluster, bucket, two users, and the files with their
# passwords. Safe to run again: what is there and right stays untouched. Needs sh and curl only.
#
# ADMIN_SECRET, GATEWAY_SECRET, ZEROCLOUD_SECRET are folders, one for each reader, so that no container sees another's password.
set -eu
umask 077

: "${COUCHBASE_URL:?}" "${ADMIN_SECRET:?}" "${GATEWAY_SECRET:?}" "${ZEROCLOUD_SECRET:?}" "${BOOTSTRAP_TEMPLATE:?}"
ADMIN_USER=${COUCHBASE_ADMIN_USER:-Administrator}
BUCKET=zerocloud
DATA_MB=${COUCHBASE_DATA_MB:-512}
INDEX_MB=${COUCHBASE_INDEX_MB:-256}
BUCKET_MB=${COUCHBASE_BUCKET_MB:-256}
PATIENCE=${INIT_PATIENCE_SECONDS:-300}
PAUSE=${INIT_PAUSE_SECONDS:-2}

WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
DEADLINE=$(($(date +%s) + PATIENCE))

say() { echo "init: $*"; }
fail() {
    echo "init: $*" >&2
    exit 1
}

# Leaves a password in file $1: the one from the environment ($2), or the stored one; the first run invents one.
password() {
    if [ -n "$2" ]; then
        printf '%s' "$2" >"$1.new"
        mv "$1.new" "$1"
    elif [ ! -s "$1" ]; then
        od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$1.new"
        mv "$1.new" "$1"
    fi
    # curl's configuration quotes with these two, and the template is JSON.
    case $(cat "$1") in
    *[\"\\]*) fail "$1: a password must not hold a quote or a backslash" ;;
    esac
}

# call USER FILE METHOD PATH [curl arguments]: the status goes to STATUS, the body to $WORK/body, transport errors are 000.
# The password reaches curl through a file, never through its arguments.
call() {
    printf 'user = "%s:%s"\n' "$1" "$(cat "$2")" >"$WORK/user"
    method=$3 path=$4
    shift 4
    STATUS=$(curl -sS -m 30 -K "$WORK/user" -o "$WORK/body" -w '%{http_code}' -X "$method" "$@" "$COUCHBASE_URL$path" \
        2>"$WORK/error") || STATUS=000
}
admin() { call "$ADMIN_USER" "$ADMIN_FILE" "$@"; }

# Whether the last answer holds this JSON, blanks aside.
has() { tr -d ' \n\r\t' <"$WORK/body" 2>/dev/null | grep -qF "$1"; }
answer() { echo "$STATUS $(head -c 300 "$WORK/body" 2>/dev/null) $(cat "$WORK/error")"; }
pause_or_fail() {
    [ "$(date +%s)" -lt "$DEADLINE" ] || fail "$1; gave up after $PATIENCE s. Its last answer: $(answer)"
    sleep "$PAUSE"
}
wrong_password() {
    fail "Couchbase Server does not accept the password of $ADMIN_USER. It was set up with another one:" \
        "put that into couchbase.env as COUCHBASE_ADMIN_PASSWORD"
}

# 404 there means that no cluster was made yet; then any login passes.
cluster() {
    said=
    while :; do
        admin GET /pools/default
        case $STATUS in
        200) return ;;
        401 | 403) wrong_password ;;
        404) break ;;
        esac
        [ -n "$said" ] || say "waiting for Couchbase Server at $COUCHBASE_URL"
        said=1
        pause_or_fail "Couchbase Server does not answer"
    done
    say "making the cluster"
    # Community Edition knows these three services together, and forestdb alone for their indexes.
    admin POST /clusterInit --data-urlencode "username=$ADMIN_USER" --data-urlencode "password@$ADMIN_FILE" \
        -d port=SAME -d clusterName=zerocloud -d services=kv,index,n1ql -d indexerStorageMode=forestdb \
        -d "memoryQuota=$DATA_MB" -d "indexMemoryQuota=$INDEX_MB"
    [ "$STATUS" = 200 ] || fail "the cluster was not made: $(answer)"
    # The web server restarts under a new administrator.
    until admin GET /pools/default && [ "$STATUS" = 200 ]; do pause_or_fail "the new cluster does not answer"; done
}

bucket() {
    admin GET "/pools/default/buckets/$BUCKET"
    if [ "$STATUS" = 404 ]; then
        say "making the bucket $BUCKET"
        # Views need couchstore. One node holds no replica.
        admin POST /pools/default/buckets -d "name=$BUCKET" -d bucketType=couchbase -d storageBackend=couchstore \
            -d "ramQuota=$BUCKET_MB" -d replicaNumber=0 -d flushEnabled=0
        [ "$STATUS" = 202 ] || [ "$STATUS" = 200 ] || fail "the bucket was not made: $(answer)"
    fi
    until admin GET "/pools/default/buckets/$BUCKET" && [ "$STATUS" = 200 ] && has '"status":"healthy"'; do
        pause_or_fail "the bucket $BUCKET is not ready"
    done
    if has '"storageBackend":"magma"'; then
        say "note: the bucket is stored in magma, which has no views; zerocloud uses its own index instead"
    fi
}

# user NAME FILE ROLES PROOF...: there, with that password and those roles. Each PROOF stands in what the server says of it.
user() {
    name=$1 file=$2 roles=$3
    shift 3
    call "$name" "$file" GET /whoami
    right=$([ "$STATUS" = 200 ] && echo yes || echo no)
    for proof in "$@"; do has "$proof" || right=no; done
    [ "$right" = no ] || return 0
    say "setting user $name ($roles)"
    admin PUT "/settings/rbac/users/local/$name" --data-urlencode "password@$file" --data-urlencode "roles=$roles"
    [ "$STATUS" = 200 ] || fail "user $name was not set: $(answer)"
    until call "$name" "$file" GET /whoami && [ "$STATUS" = 200 ]; do pause_or_fail "user $name cannot sign in"; done
}

# Readable for whoever the container runs as; the folder is mounted into that container only.
bootstrap() {
    sed "s|@PASSWORD@|$(sed 's/[|&]/\\&/g' "$GATEWAY_SECRET/password")|" "$BOOTSTRAP_TEMPLATE" >"$GATEWAY_SECRET/bootstrap.new"
    chmod 444 "$GATEWAY_SECRET/bootstrap.new" "$GATEWAY_SECRET/password" "$ZEROCLOUD_SECRET/password"
    chmod 755 "$GATEWAY_SECRET" "$ZEROCLOUD_SECRET"
    if cmp -s "$GATEWAY_SECRET/bootstrap.new" "$GATEWAY_SECRET/bootstrap.json"; then
        rm -f "$GATEWAY_SECRET/bootstrap.new"
    else
        say "writing Sync Gateway's configuration"
        mv -f "$GATEWAY_SECRET/bootstrap.new" "$GATEWAY_SECRET/bootstrap.json"
    fi
}

# A mistaken password in the environment must not replace the stored one: it is kept only once the server took it.
ADMIN_FILE=$ADMIN_SECRET/password
[ -z "${COUCHBASE_ADMIN_PASSWORD:-}" ] || ADMIN_FILE=$WORK/admin
password "$ADMIN_FILE" "${COUCHBASE_ADMIN_PASSWORD:-}"
password "$GATEWAY_SECRET/password" "${SYNC_GATEWAY_PASSWORD:-}"
password "$ZEROCLOUD_SECRET/password" "${ZEROCLOUD_PASSWORD:-}"
cluster
[ "$ADMIN_FILE" = "$ADMIN_SECRET/password" ] || cp "$ADMIN_FILE" "$ADMIN_SECRET/password"
bucket
# Community Edition has three roles: admin, ro_admin, bucket_full_access. Sync Gateway needs the last two.
user sync_gateway "$GATEWAY_SECRET/password" "bucket_full_access[$BUCKET],ro_admin" \
    '"role":"bucket_full_access"' "\"bucket_name\":\"$BUCKET\"" '"role":"ro_admin"'
# Whoever has a database's bucket in full may administer the database through the gateway, and nothing more.
user zerocloud "$ZEROCLOUD_SECRET/password" "bucket_full_access[$BUCKET]" \
    '"role":"bucket_full_access"' "\"bucket_name\":\"$BUCKET\""
bootstrap
say "ready"
