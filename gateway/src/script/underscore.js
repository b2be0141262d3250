// The functions of Underscore (underscorejs.org) that sync functions use, under the name `_`, by its documentation.
(function (global) {
  "use strict";
  var toString = Object.prototype.toString;
  var own = Object.prototype.hasOwnProperty;
  var slice = Array.prototype.slice;

  function kind(name) {
    return function (value) { return toString.call(value) === "[object " + name + "]"; };
  }

  function isObject(value) {
    return typeof value === "function" || (typeof value === "object" && value !== null);
  }

  function has(object, key) {
    return object !== null && object !== undefined && own.call(object, key);
  }

  function keys(object) {
    return isObject(object) ? Object.keys(object) : [];
  }

  function values(object) {
    return keys(object).map(function (key) { return object[key]; });
  }

  function isList(value) {
    return value !== null && value !== undefined && typeof value !== "function" && typeof value.length === "number" &&
      value.length >= 0;
  }

  // Lists give their elements and indices, objects their values and keys, nothing gives nothing.
  function each(list, visit, context) {
    var names = isList(list) ? null : keys(list);
    var length = names ? names.length : list.length;
    for (var i = 0; i < length; i++) {
      var key = names ? names[i] : i;
      visit.call(context, list[key], key, list);
    }
    return list;
  }

  // A function, the name of a property, a set of properties to match, or nothing for the value itself.
  function iteratee(value, context) {
    if (value === null || value === undefined) { return function (it) { return it; }; }
    if (typeof value === "function") { return function () { return value.apply(context, arguments); }; }
    if (isObject(value) && !Array.isArray(value)) { return matcher(value); }
    return function (it) { return it === null || it === undefined ? undefined : it[value]; };
  }

  function matcher(wanted) {
    return function (it) {
      return keys(wanted).every(function (key) {
        return it !== null && it !== undefined && key in Object(it) && it[key] === wanted[key];
      });
    };
  }

  function map(list, visit, context) {
    var found = [];
    var to = iteratee(visit, context);
    each(list, function (value, key) { found.push(to(value, key, list)); });
    return found;
  }

  function filter(list, test, context) {
    var found = [];
    var fits = iteratee(test, context);
    each(list, function (value, key) { if (fits(value, key, list)) { found.push(value); } });
    return found;
  }

  function reject(list, test, context) {
    var fits = iteratee(test, context);
    return filter(list, function (value, key) { return !fits(value, key, list); });
  }

  function reduce(list, join, memo, context) {
    var started = arguments.length > 2;
    each(list, function (value, key) {
      memo = started ? join.call(context, memo, value, key, list) : value;
      started = true;
    });
    return memo;
  }

  function toArray(list) {
    return isList(list) ? slice.call(list) : values(list);
  }

  function indexOf(list, value) {
    for (var i = 0; i < list.length; i++) {
      if (list[i] === value || (value !== value && list[i] !== list[i])) { return i; }
    }
    return -1;
  }

  function contains(list, value) {
    return indexOf(toArray(list), value) >= 0;
  }

  function flatten(list, shallow) {
    var found = [];
    each(list, function (value) {
      if (!Array.isArray(value)) { found.push(value); } else { found.push.apply(found, shallow ? value : flatten(value)); }
    });
    return found;
  }

  function uniq(list, sorted, visit) {
    if (typeof sorted !== "boolean") { visit = sorted; }
    var to = iteratee(visit);
    var seen = [];
    return filter(list, function (value) {
      var of = to(value);
      if (contains(seen, of)) { return false; }
      seen.push(of);
      return true;
    });
  }

  function isEqual(a, b) {
    if (a === b) { return a !== 0 || 1 / a === 1 / b; }
    if (a !== a) { return b !== b; }
    if (!isObject(a) || !isObject(b) || toString.call(a) !== toString.call(b)) { return false; }
    if (a instanceof RegExp) { return String(a) === String(b); }
    if (a instanceof Date) { return +a === +b; }
    var names = keys(a);
    return names.length === keys(b).length && names.every(function (key) { return has(b, key) && isEqual(a[key], b[key]); });
  }

  function isEmpty(value) {
    if (value === null || value === undefined) { return true; }
    if (Array.isArray(value) || typeof value === "string") { return value.length === 0; }
    return keys(value).length === 0;
  }

  function extend(target) {
    slice.call(arguments, 1).forEach(function (source) { each(keys(source), function (key) { target[key] = source[key]; }); });
    return target;
  }

  function named(object, names) {
    return flatten(slice.call(names, 1)).filter(function (key) { return isObject(object) && key in object; });
  }

  function pick(object) {
    var found = {};
    named(object, arguments).forEach(function (key) { found[key] = object[key]; });
    return found;
  }

  function omit(object) {
    var without = named(object, arguments);
    var found = {};
    keys(object).forEach(function (key) { if (without.indexOf(key) < 0) { found[key] = object[key]; } });
    return found;
  }

  function first(list, count) {
    if (list === null || list === undefined) { return count === undefined ? undefined : []; }
    return count === undefined ? list[0] : slice.call(list, 0, Math.max(count, 0));
  }

  function last(list, count) {
    if (list === null || list === undefined) { return count === undefined ? undefined : []; }
    return count === undefined ? list[list.length - 1] : slice.call(list, Math.max(list.length - count, 0));
  }

  function sortBy(list, visit, context) {
    var to = iteratee(visit, context);
    var rows = map(list, function (value, key) { return { value: value, by: to(value, key, list), at: key }; });
    rows.sort(function (a, b) { return a.by < b.by ? -1 : a.by > b.by ? 1 : 0; });
    return rows.map(function (row) { return row.value; });
  }

  function groupBy(list, visit, context) {
    var to = iteratee(visit, context);
    return reduce(list, function (groups, value, key) {
      var name = to(value, key, list);
      (has(groups, name) ? groups[name] : (groups[name] = [])).push(value);
      return groups;
    }, {});
  }

  function extreme(sign) {
    return function (list, visit, context) {
      var to = iteratee(visit, context);
      var best = -sign * Infinity;
      var found = best;
      each(list, function (value, key) {
        var of = to(value, key, list);
        if (sign * of > sign * best) { best = of; found = value; }
      });
      return found;
    };
  }

  function find(list, test, context) {
    return filter(list, test, context)[0];
  }

  function every(list, test, context) {
    return reject(list, test, context).length === 0;
  }

  function some(list, test, context) {
    return filter(list, test, context).length > 0;
  }

  function difference(list) {
    var others = flatten(slice.call(arguments, 1), true);
    return filter(list, function (value) { return !contains(others, value); });
  }

  function union() {
    return uniq(flatten(slice.call(arguments), true));
  }

  function intersection(list) {
    var others = slice.call(arguments, 1);
    return uniq(filter(list, function (value) { return others.every(function (other) { return contains(other, value); }); }));
  }

  function range(start, stop, step) {
    if (stop === undefined) { stop = start || 0; start = 0; }
    step = step || (stop < start ? -1 : 1);
    var found = [];
    for (var at = start; step > 0 ? at < stop : at > stop; at += step) { found.push(at); }
    return found;
  }

  function clone(value) {
    if (!isObject(value)) { return value; }
    return Array.isArray(value) ? value.slice() : extend({}, value);
  }

  var _ = {
    each: each, forEach: each, map: map, collect: map, filter: filter, select: filter, reject: reject, reduce: reduce,
    foldl: reduce, inject: reduce, find: find, detect: find, every: every, all: every, some: some, any: some,
    contains: contains, include: contains, includes: contains, indexOf: indexOf, flatten: flatten, uniq: uniq, unique: uniq,
    isEqual: isEqual, isEmpty: isEmpty, extend: extend, extendOwn: extend, assign: extend, pick: pick, omit: omit,
    first: first, head: first, take: first, last: last, sortBy: sortBy, groupBy: groupBy, max: extreme(1), min: extreme(-1),
    difference: difference, union: union, intersection: intersection, range: range, clone: clone, keys: keys,
    values: values, has: has, toArray: toArray, matcher: matcher, matches: matcher, isObject: isObject,
    isArray: Array.isArray, isString: kind("String"), isNumber: kind("Number"), isBoolean: kind("Boolean"),
    isFunction: function (value) { return typeof value === "function"; }, isDate: kind("Date"), isRegExp: kind("RegExp"),
    isNull: function (value) { return value === null; }, isUndefined: function (value) { return value === undefined; },
    isNaN: function (value) { return kind("Number")(value) && value !== value; },
    isFinite: function (value) { return kind("Number")(value) && isFinite(value); },
    identity: function (value) { return value; },
    size: function (list) { return isList(list) ? list.length : keys(list).length; },
    pluck: function (list, key) { return map(list, function (it) { return it === null || it === undefined ? undefined : it[key]; }); },
    where: function (list, wanted) { return filter(list, matcher(wanted)); },
    findWhere: function (list, wanted) { return find(list, matcher(wanted)); },
    compact: function (list) { return filter(list, function (value) { return !!value; }); },
    without: function (list) { return difference(list, slice.call(arguments, 1)); },
    rest: function (list, count) { return slice.call(list, count === undefined ? 1 : count); },
    initial: function (list, count) { return slice.call(list, 0, Math.max(0, list.length - (count === undefined ? 1 : count))); },
    invert: function (object) { return reduce(keys(object), function (to, key) { to[object[key]] = key; return to; }, {}); },
    pairs: function (object) { return keys(object).map(function (key) { return [key, object[key]]; }); },
    object: function (list, others) {
      return reduce(list, function (to, it, i) { if (others) { to[it] = others[i]; } else { to[it[0]] = it[1]; } return to; }, {});
    },
    defaults: function (target) {
      slice.call(arguments, 1).forEach(function (source) {
        keys(source).forEach(function (key) { if (target[key] === undefined) { target[key] = source[key]; } });
      });
      return target;
    },
    times: function (count, visit, context) { return map(range(count), function (i) { return visit.call(context, i); }); }
  };
  global._ = _;
})(globalThis);
