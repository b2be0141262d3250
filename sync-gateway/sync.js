// The access rules of zerocloud, run by Sync Gateway (otto) and by the embedded gateway on every write. ES5 only: no
// current time, no randomness, no other document.
//
// For the service (admin port, and when Sync Gateway runs this again on _resync) it only routes and never throws: a throw
// there would strip stored documents of their channels. For people it judges by the document as it was.
function (doc, oldDoc, meta) {
  var ID = /^[a-z0-9][a-z0-9-]{0,39}$/;
  var STAGES = ["observe", "notify", "stop", "terminate"];
  var old = oldDoc && !oldDoc._deleted ? oldDoc : null;

  // --- reading, never throwing -------------------------------------------------------------------------------------

  function isObject(value) {
    return value !== null && typeof value === "object" && Object.prototype.toString.call(value) !== "[object Array]";
  }

  function isText(value) {
    return typeof value === "string" && value.length > 0;
  }

  function isId(value) {
    return typeof value === "string" && ID.test(value);
  }

  function isSet(value) {
    return value !== undefined && value !== null;
  }

  function isHour(value) {
    return typeof value === "number" && Math.floor(value) === value && value >= 0 && value <= 23;
  }

  function isRegions(value) {
    if (Object.prototype.toString.call(value) !== "[object Array]") {
      return false;
    }
    for (var i = 0; i < value.length; i++) {
      if (typeof value[i] !== "string" || !/^[a-z0-9-]{1,30}$/.test(value[i])) {
        return false;
      }
    }
    return true;
  }

  function has(object, key) {
    return Object.prototype.hasOwnProperty.call(object, key);
  }

  function keys(object) {
    var found = [];
    for (var key in object) {
      if (has(object, key)) {
        found.push(key);
      }
    }
    return found;
  }

  // Exactly YYYY-MM-DDTHH:MM:SSZ and a real instant, so that strings compare as times do.
  function isTime(value) {
    var parts = typeof value === "string" ? /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z$/.exec(value) : null;
    if (!parts) {
      return false;
    }
    var n = [];
    for (var i = 1; i < 7; i++) {
      n.push(parseInt(parts[i], 10));
    }
    var leap = (n[0] % 4 === 0 && n[0] % 100 !== 0) || n[0] % 400 === 0;
    var days = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    return n[1] >= 1 && n[1] <= 12 && n[2] >= 1 && n[2] <= days[n[1] - 1] && n[3] <= 23 && n[4] <= 59 && n[5] <= 59;
  }

  function same(a, b) {
    if (a === b) {
      return true;
    }
    if (a === null || b === null || typeof a !== "object" || typeof b !== "object") {
      return false;
    }
    if (Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) {
      return false;
    }
    var left = keys(a);
    if (left.length !== keys(b).length) {
      return false;
    }
    for (var i = 0; i < left.length; i++) {
      if (!has(b, left[i]) || !same(a[left[i]], b[left[i]])) {
        return false;
      }
    }
    return true;
  }

  // Every string in the value, and every key, has at most 500 characters; at most 8 levels deep.
  function bounded(value, depth) {
    if (typeof value === "string") {
      return value.length <= 500;
    }
    if (value === null || typeof value !== "object") {
      return true;
    }
    var names = keys(value);
    if (depth > 8 || names.length > 500) {
      return false;
    }
    for (var i = 0; i < names.length; i++) {
      if (names[i].length > 500 || !bounded(value[names[i]], depth + 1)) {
        return false;
      }
    }
    return true;
  }

  // The fields in which the two differ, without what Sync Gateway adds.
  function changed(was, is) {
    var found = [];
    var names = keys(was).concat(keys(is));
    for (var i = 0; i < names.length; i++) {
      var name = names[i];
      if (name !== "_id" && name !== "_rev" && name !== "updated_by" && !same(was[name], is[name])) {
        found.push(name);
      }
    }
    return found;
  }

  function onlyChanges(was, is, allowed) {
    var names = changed(was, is);
    for (var i = 0; i < names.length; i++) {
      if (allowed.indexOf(names[i]) < 0) {
        return false;
      }
    }
    return true;
  }

  // --- routing, for everybody; never throwing ----------------------------------------------------------------------

  function adminChannel(account) {
    return "admin:" + account;
  }

  function userChannel(account, user) {
    return "user:" + account + ":" + user;
  }

  // The channels that a document of this shape belongs to. Nothing for a document that cannot be read: the service alone
  // sees it.
  function channelsOf(it) {
    var account = isObject(it) ? it.account : null;
    if (!isId(account)) {
      return [];
    }
    switch (it.type) {
    case "account":
    case "account_policy":
    case "aws_account_policy":
      return ["account:" + account];
    case "aws_account":
    case "event":
    case "pause":
    case "region":
      return [adminChannel(account)];
    case "user":
    case "user_policy":
    case "request":
      return isId(it.user) ? [adminChannel(account), userChannel(account, it.user)] : [adminChannel(account)];
    case "lease":
    case "resource":
      return isId(it.owner) ? [adminChannel(account), userChannel(account, it.owner)] : [adminChannel(account)];
    default:
      return [];
    }
  }

  function route() {
    // A tombstone goes where the document was, so that whoever saw it learns that it is gone.
    channel(channelsOf(doc._deleted ? old : doc));
    // This call decides alone when a document goes: else an owner could delete a lease by sending _exp.
    expiry(!doc._deleted && isTime(doc.purge_at) ? doc.purge_at : "2999-01-01T00:00:00Z");
    if (doc._deleted || doc.type !== "user" || !isId(doc.account) || !isId(doc.user)) {
      return;
    }
    var name = doc.account + "." + doc.user;
    access(name, ["account:" + doc.account, userChannel(doc.account, doc.user)]);
    if (doc.role === "admin") {
      role(name, "role:admin-" + doc.account);
      access(name, adminChannel(doc.account));
    }
  }

  // --- rules, for people -------------------------------------------------------------------------------------------

  function refuse(when, reason) {
    if (when) {
      throw ({ forbidden: reason });
    }
  }

  function byAService() {
    try {
      requireAdmin();
      return true;
    } catch (person) {
      return false;
    }
  }

  function isAdminOf(account) {
    try {
      requireAccess(adminChannel(account));
      return true;
    } catch (dev) {
      return false;
    }
  }

  // The id that a document with these fields must have.
  function idOf(it) {
    switch (it.type) {
    case "account":
      return "account::" + it.account;
    case "aws_account":
      return "aws_account::" + it.account + "::" + it.aws_id;
    case "user":
      return "user::" + it.account + "::" + it.user;
    case "account_policy":
      return "policy::" + it.account;
    case "aws_account_policy":
      return "policy::" + it.account + "::aws::" + it.aws_id;
    case "user_policy":
      return "policy::" + it.account + "::user::" + it.user;
    case "pause":
      return it.aws_id === undefined ? "pause::" + it.account : "pause::" + it.account + "::" + it.aws_id;
    case "lease":
      return "lease::" + it.aws_id + "::" + it.region + "::" + it.resource_id;
    default:
      return null;
    }
  }

  function judgeAccount(admin) {
    refuse(!admin, "only admins edit the Account");
    refuse(!old, "only the service makes an Account");
    refuse(!onlyChanges(old, doc, ["name", "settings"]), "only name and settings may be edited");
    refuse(typeof doc.name !== "string", "name must be a text");
    refuse(doc.settings !== undefined && !isObject(doc.settings), "settings must be an object");
  }

  function judgeAwsAccount(admin) {
    refuse(!admin, "only admins edit an AWS account");
    refuse(!old, "only the service connects an AWS account");
    refuse(!onlyChanges(old, doc, ["name", "regions", "stage", "disabled", "write_tags"]),
           "only name, regions, stage, disabled and write_tags may be edited");
    // One that the service cannot read would have the AWS account neither watched nor its machines announced.
    refuse(doc.name !== undefined && typeof doc.name !== "string", "name must be a text");
    refuse(doc.regions !== undefined && !isRegions(doc.regions), "regions must be a list of names such as us-east-1");
    refuse(STAGES.indexOf(doc.stage) < 0, "stage must be observe, notify, stop or terminate");
    refuse(STAGES.indexOf(doc.stage) > STAGES.indexOf(old.stage) + 1, "a stage rises one step at a time");
    refuse(doc.write_tags !== undefined && typeof doc.write_tags !== "boolean", "write_tags must be true or false");
    refuse(doc.disabled !== undefined && typeof doc.disabled !== "boolean", "disabled must be true or false");
  }

  function judgeUser(admin, caller) {
    var own = caller === doc.account + "." + doc.user;
    refuse(!admin && !own, "a user document is edited by that user or an admin");
    refuse(!old, "only the service makes users");
    var ownFields = ["time_zone", "mail_format", "digest_hour", "delegate", "delegate_until"];
    refuse(!onlyChanges(old, doc, ["role", "aliases"].concat(ownFields)),
           "only role, aliases, time_zone, mail_format, digest_hour, delegate and delegate_until may be edited");
    refuse(!admin && !onlyChanges(old, doc, ownFields), "role and aliases are for admins");
    refuse(!own && !onlyChanges(old, doc, ["role", "aliases"]),
           "time_zone, mail_format, digest_hour, delegate and delegate_until are the user's own");
    refuse(isSet(doc.digest_hour) && !isHour(doc.digest_hour), "digest_hour must be a whole number from 0 to 23");
    refuse(isSet(doc.delegate) && !isId(doc.delegate), "delegate must be a user id");
    refuse(isSet(doc.delegate_until) && !isTime(doc.delegate_until), "delegate_until must be a time");
    refuse(own && !same(old.role, doc.role), "nobody changes their own role");
    refuse(doc.role !== "admin" && doc.role !== "dev", "role must be admin or dev");
  }

  function judgePolicy(admin) {
    refuse(!admin, "only admins write policies");
    refuse(old && !onlyChanges(old, doc, ["policy"]), "only policy may be edited");
    refuse(!isObject(doc.policy), "policy must be an object");
  }

  function judgePause(admin) {
    refuse(!admin, "only admins pause");
    refuse(!isText(doc.reason), "a pause needs a reason");
    refuse(doc.by !== doc.updated_by, "by must be the caller");
    refuse(!isTime(doc.since), "since must be a time");
    refuse(doc.resumed_at !== undefined && !isTime(doc.resumed_at), "resumed_at must be a time");
    refuse(old && !onlyChanges(old, doc, ["reason", "by", "since", "resumed_at"]),
           "only reason, by, since and resumed_at may be edited");
  }

  function judgeRegion(admin) {
    refuse(!admin, "only admins resume a region");
    refuse(!old, "only the service writes region documents");
    refuse(!onlyChanges(old, doc, ["resume"]), "only resume may be edited");
    refuse(doc.resume !== true, "resume must be true");
  }

  function judgeLease(admin) {
    refuse(!old, "only the service makes leases");
    refuse(!admin && !isId(old.owner), "this lease has no owner yet");
    if (!admin) {
      requireAccess(userChannel(old.account, old.owner));
    }
    var running = old.state === "active" || old.state === "expired";
    // What is stopped is terminated in the end, and may be kept from it.
    var keeps = admin && old.state === "stopped" && onlyChanges(old, doc, ["exemption"]);
    refuse(!running && !keeps, "this lease is not running");
    refuse(!onlyChanges(old, doc, ["expires_at", "owner", "exemption"]),
           "only expires_at, owner and exemption may be edited");
    refuse(!admin && !onlyChanges(old, doc, ["expires_at"]), "owner and exemption are for admins");
    refuse(!isTime(doc.expires_at), "expires_at must be a time such as 2026-01-31T23:59:59Z");
    refuse(doc.expires_at < old.expires_at, "a renewal never shortens");
    refuse(doc.expires_at !== old.expires_at && !(isTime(old.max_expires_at) && doc.expires_at <= old.max_expires_at),
           "expires_at is beyond max_expires_at");
    refuse(!isId(doc.owner), "owner must be a user id");
    var exemption = doc.exemption;
    refuse(exemption !== undefined && !(isObject(exemption) && isText(exemption.reason) && isTime(exemption.until)),
           "an exemption needs a reason and an end");
  }

  function judgeRequest(caller) {
    var known = ["_id", "_rev", "type", "account", "schema", "updated_by", "user", "lease", "action", "until", "to", "at", "reason"];
    var prefix = "request::" + doc.account + "::" + doc.user + "::";
    refuse(oldDoc, "a request is made once");
    refuse(caller !== doc.account + "." + doc.user, "a request is made by its user");
    refuse(typeof doc._id !== "string" || doc._id.indexOf(prefix) !== 0 ||
           !/^[A-Za-z0-9-]{8,64}$/.test(doc._id.substring(prefix.length)), "id and fields disagree");
    refuse(!onlyChanges({}, doc, known), "a request has a field that is not its own");
    refuse(!/^lease::\d{12}::[a-z0-9-]{1,30}::[A-Za-z0-9-]{1,64}$/.test(String(doc.lease)), "lease must be a lease id");
    refuse(["renew", "end", "terminate", "not_mine", "hand_over", "accept", "revive", "apply_policy"].indexOf(doc.action) < 0,
           "action is unknown");
    refuse(doc.until !== undefined && !isTime(doc.until), "until must be a time");
    refuse(doc.at !== undefined && !isTime(doc.at), "at must be a time");
    // It may have waited in a phone, and what was renewed since is not ended by it.
    refuse((doc.action === "end" || doc.action === "terminate") && doc.at === undefined, "ending needs at");
    refuse(doc.to !== undefined && !isId(doc.to), "to must be a user id");
    refuse(doc.action === "hand_over" && doc.to === undefined, "handing over needs to");
    refuse(doc.reason !== undefined && !isText(doc.reason), "reason must be a text");
    refuse(doc.action === "apply_policy" && !(isAdminOf(doc.account) && isText(doc.reason)),
           "applying the policy is for admins, with a reason");
  }

  function judgeDeletion(admin) {
    refuse(!old, "there is nothing to delete");
    refuse(changed({}, doc).join() !== "_deleted", "a deletion has no body");
    refuse(["user", "user_policy", "aws_account_policy"].indexOf(old.type) < 0, "this document is not deleted by people");
    refuse(!admin, "only admins delete");
    if (old.type === "user") {
      // Nobody but that user has both the user's own channel and the admins'.
      refuse(mayRead(userChannel(old.account, old.user)), "nobody deletes themselves");
    }
  }

  function mayRead(name) {
    try {
      requireAccess(name);
      return true;
    } catch (other) {
      return false;
    }
  }

  function judge() {
    var type = old ? old.type : doc.type;
    var account = old ? old.account : doc.account;
    refuse(!isId(account), "account must be an account name");
    var admin = isAdminOf(account);
    if (doc._deleted) {
      return judgeDeletion(admin);
    }
    var caller = doc.updated_by;
    refuse(!isText(caller), "updated_by must be the caller");
    requireUser(caller);
    refuse(caller.indexOf(account + ".") !== 0, "the caller is not of this Account");
    refuse(oldDoc && oldDoc._deleted && type !== "user_policy" && type !== "aws_account_policy",
           "a deleted document is not made again by people");
    refuse(doc.type !== type, "type never changes");
    refuse(doc.account !== account, "account never changes");
    refuse(doc._attachments !== undefined, "attachments are refused");
    refuse(old ? !same(old.schema, doc.schema) : doc.schema !== 1, "schema must be 1");
    refuse(!bounded(doc, 0) && !(old && bounded(edits(), 0)), "a text is longer than 500 characters");
    refuse(type !== "request" && type !== "region" && idOf(doc) !== doc._id, "id and fields disagree");
    switch (type) {
    case "account": return judgeAccount(admin);
    case "aws_account": return judgeAwsAccount(admin);
    case "user": return judgeUser(admin, caller);
    case "account_policy":
    case "aws_account_policy":
    case "user_policy": return judgePolicy(admin);
    case "pause": return judgePause(admin);
    case "region": return judgeRegion(admin);
    case "lease": return judgeLease(admin);
    case "request": return judgeRequest(caller);
    default: refuse(true, "people do not write documents of this type");
    }
  }

  // What the edit brings, without what the service stored: a lease's trigger may hold longer texts.
  function edits() {
    var found = {};
    var names = changed(old, doc);
    for (var i = 0; i < names.length; i++) {
      found[names[i]] = doc[names[i]];
    }
    return found;
  }

  if (!byAService()) {
    judge();
  }
  route();
}
