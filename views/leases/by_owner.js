function (doc, meta) {
  var live = doc.state === "active" || doc.state === "expired" || doc.state === "reaping";
  var readable = typeof doc.account === "string" && typeof doc.owner === "string" && typeof doc.first_seen === "string";
  if (doc.type === "lease" && live && readable) {
    emit([doc.account, doc.owner, doc.first_seen, meta.id], null);
  }
}
