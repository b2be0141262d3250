// `emit` for map functions. Evaluates to the driver: (fn, id, doc) -> JSON text of [[key, value], ...].
(function (global) {
  var parse = JSON.parse, stringify = JSON.stringify, rows = null;
  global.emit = function (key, value) {
    rows.push(stringify(key === undefined ? null : key) || "null",
              stringify(value === undefined ? null : value) || "null");
  };
  global.log = function () {};
  return function (fn, id, docText) {
    rows = [];
    fn(parse(docText), { id: id, type: "json" });
    return "[" + rows.join(",") + "]";
  };
})(globalThis)
