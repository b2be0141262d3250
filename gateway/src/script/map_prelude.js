// `emit` for map functions. Evaluates to the driver: (fn, id, doc) -> JSON text of [key, value, key, value, ...];
// with a fourth argument fn is a function that answers the sources of several, and there is a line for each.
(function (global) {
  var parse = JSON.parse, stringify = JSON.stringify, evaluate = eval, Fatal = InternalError;
  var rows = null, functions = null;
  global.emit = function (key, value) {
    rows.push(stringify(key === undefined ? null : key) || "null",
              stringify(value === undefined ? null : value) || "null");
  };
  function log() {}
  global.log = log;
  global.console = { log: log, error: log, warn: log, info: log, debug: log };
  function compiled(source) {
    try {
      var fn = evaluate("var mapFn = " + source + "\n;mapFn");
      return typeof fn === "function" ? fn : null;
    } catch (x) {
      return null;
    }
  }
  function one(fn, doc, meta) {
    rows = [];
    try {
      if (fn !== null) { fn(doc, meta); }
    } catch (x) {
      if (x instanceof Fatal) { throw x; }
      rows = [];
    }
    return "[" + rows.join(",") + "]";
  }
  return function (fn, id, docText, several) {
    var doc = parse(docText), meta = { id: id, type: "json" };
    if (several === undefined) {
      rows = [];
      fn(doc, meta);
      return "[" + rows.join(",") + "]";
    }
    if (functions === null) {
      var sources = fn();
      functions = [];
      for (var i = 0; i < sources.length; i++) { functions.push(compiled(sources[i])); }
    }
    var lines = "";
    for (var n = 0; n < functions.length; n++) { lines += one(functions[n], doc, meta) + "\n"; }
    return lines;
  };
})(globalThis)
