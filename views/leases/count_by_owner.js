// reduce: _count
function (doc, meta) {
  var live = doc.state === "active" || doc.state === "expired" || doc.state === "reaping";
  if (doc.type === "lease" && live && typeof doc.account === "string" && typeof doc.owner === "string") {
    emit([doc.account, doc.owner], null);
  }
}
