// The functions a sync function may call. Evaluates to the driver: (fn, doc, oldDoc, user) -> JSON text.
(function (global) {
  var parse = JSON.parse, stringify = JSON.stringify, isArray = Array.isArray, text = String;
  var out = null, userText = null, user = null;

  function strings(value) {
    if (typeof value === "string") { return [value]; }
    if (!isArray(value)) { return []; }
    var kept = [];
    for (var i = 0; i < value.length; i++) {
      if (typeof value[i] === "string") { kept.push(value[i]); }
    }
    return kept;
  }
  function grant(list, who, what) {
    var names = strings(who), values = strings(what);
    if (values.length === 0) { return; }
    for (var i = 0; i < names.length; i++) { list.push([names[i], values]); }
  }
  function caller() {
    if (user === null) { user = parse(userText); }
    return user;
  }
  function anyOf(wanted, held) {
    var list = isArray(wanted) ? wanted : [wanted];
    for (var i = 0; i < held.length; i++) {
      if (list.indexOf(held[i]) !== -1) { return true; }
    }
    return false;
  }
  function log() {
    if (out === null || out.log.length >= 20) { return; }
    var words = [];
    for (var i = 0; i < arguments.length; i++) { words.push(text(arguments[i])); }
    out.log.push(words.join(" ").substring(0, 500));
  }
  global.log = log;
  global.console = { log: log, error: log, warn: log, info: log, debug: log };
  global.channel = function () {
    for (var i = 0; i < arguments.length; i++) {
      var names = strings(arguments[i]);
      for (var k = 0; k < names.length; k++) { out.channels.push(names[k]); }
    }
  };
  global.access = function (who, channels) { grant(out.access, who, channels); };
  global.role = function (who, roles) { grant(out.roles, who, roles); };
  global.expiry = function (value) {
    if (value === undefined || value === null) { return; }
    out.expiry = value instanceof Date ? value.toISOString() : value;
  };
  global.reject = function (status, reason) {
    if (!out.rejection && status >= 400) {
      out.rejection = [Number(status), reason === undefined ? "" : text(reason)];
    }
  };
  global.requireAdmin = function () {
    if (userText !== null) { throw { forbidden: "sg admin required" }; }
  };
  global.requireUser = function (names) {
    if (userText !== null && !anyOf(names, [caller().name])) { throw { forbidden: "sg wrong user" }; }
  };
  global.requireRole = function (roles) {
    if (userText !== null && !anyOf(roles, caller().roles)) { throw { forbidden: "sg missing role" }; }
  };
  global.requireAccess = function (channels) {
    if (userText !== null && !anyOf(channels, caller().channels)) {
      throw { forbidden: "sg missing channel access" };
    }
  };
  return function (fn, docText, oldText, callerText) {
    out = { channels: [], access: [], roles: [], log: [] };
    userText = callerText === undefined ? null : callerText;
    user = null;
    var doc = parse(docText), old = oldText === undefined ? null : parse(oldText);
    try {
      fn(doc, old, { xattrs: {} });
    } catch (x) {
      if (x.forbidden) { global.reject(403, x.forbidden); }
      else if (x.unauthorized) { global.reject(401, x.unauthorized); }
      else { throw x; }
    }
    return stringify(out);
  };
})(globalThis)
