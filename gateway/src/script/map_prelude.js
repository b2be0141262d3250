// `emit` for map functions. Evaluates to the driver: (fn, id, doc) -> JSON text of [[key, value], ...].
(function (global) {
  var parse = JSON.parse, stringify = JSON.stringify, rows = null;
  global.emit = function (key, value) {
    rows.push(stringify(key === undefined ? null : key) || "null",
              stringify(value === undefined ? null : value) || "null");
  };
  function log() {}
  global.log = log;
  global.console = { log: log, error: log, warn: log, info: log, debug: log };
  return function (fn, id, docText) {
    rows = [];
    fn(parse(docText), { id: id, type: "json" });
    return "[" + rows.join(",") + "]";
  };
})(globalThis)
