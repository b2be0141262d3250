//! Policies: of the Account, of an AWS account, of a person. A change is shown with what it would alter, and then saved as it
//! was shown or not at all.

use super::super::WebError;
use super::super::edit::fresh;
use super::super::form::Fields;
use super::desk::{AdminAct, AdminDesk};
use super::ground::Ground;
use super::office::Admin;
use super::preview::Preview;
use super::settings;
use crate::model::{AwsId, Directory, Doc, Policy, PolicyLayer, UserId};
use crate::words::clean;
use axum::extract::Path;
use axum::response::Response;
use minijinja::context;
use serde_json::{Value, json};
use std::sync::Arc;

/// Whose layer it is.
enum Scope {
    Account,
    Aws(AwsId, String),
    User(UserId, String),
}

impl Scope {
    async fn aws(desk: &AdminDesk, aws_id: &str) -> Result<Scope, WebError> {
        let (_, account) = desk.aws_account(aws_id).await?;
        let name = if account.name.trim().is_empty() { account.aws_id.to_string() } else { clean(&account.name) };
        Ok(Scope::Aws(account.aws_id, name))
    }

    async fn user(desk: &AdminDesk, user: &str) -> Result<Scope, WebError> {
        let nobody = || WebError::NotFound("there is nobody by that name here".to_owned());
        let id = UserId::parse(user).map_err(|_| nobody())?;
        let doc = desk.find(&format!("user::{}::{id}", desk.person.account)).await?.ok_or_else(nobody)?;
        let text = |name: &str| doc.body.get(name).and_then(Value::as_str).map(clean).filter(|text| !text.is_empty());
        let name = text("name").or_else(|| text("email")).unwrap_or_else(|| id.to_string());
        Ok(Scope::User(id, name))
    }

    fn id(&self, desk: &AdminDesk) -> String {
        let account = &desk.person.account;
        match self {
            Scope::Account => format!("policy::{account}"),
            Scope::Aws(aws_id, _) => format!("policy::{account}::aws::{aws_id}"),
            Scope::User(user, _) => format!("policy::{account}::user::{user}"),
        }
    }

    fn path(&self) -> String {
        match self {
            Scope::Account => "/policy".to_owned(),
            Scope::Aws(aws_id, _) => format!("/policy/aws/{aws_id}"),
            Scope::User(user, _) => format!("/policy/user/{user}"),
        }
    }

    fn title(&self) -> String {
        match self {
            Scope::Account => "Policy".to_owned(),
            Scope::Aws(_, name) | Scope::User(_, name) => format!("Policy for {name}"),
        }
    }

    fn blank(&self, desk: &AdminDesk) -> Value {
        let (kind, more) = match self {
            Scope::Account => ("account_policy", json!({ "policy": {} })),
            Scope::Aws(aws_id, _) => ("aws_account_policy", json!({ "aws_id": aws_id, "policy": {} })),
            Scope::User(user, _) => ("user_policy", json!({ "user": user, "policy": {} })),
        };
        fresh(kind, &desk.person, more)
    }

    /// The policy that holds by these documents: for a person, without what a single AWS account says.
    fn effective(&self, directory: &Directory, desk: &AdminDesk, own: bool) -> Policy {
        let base = format!("policy::{}", desk.person.account);
        let id = self.id(desk);
        let mut ids = vec![base.clone()];
        ids.extend((id != base).then(|| id.clone()));
        let without = ids.iter().filter(|layer| own || **layer != id);
        Policy::effective(without.filter_map(|id| directory.policies.get(id)))
    }

    fn is_personal(&self) -> bool {
        matches!(self, Scope::User(..))
    }

    async fn doc(&self, desk: &AdminDesk) -> Result<Doc<Value>, WebError> {
        let id = self.id(desk);
        let found = desk.find(&id).await?;
        Ok(found.unwrap_or_else(|| Doc { id, rev: None, body: self.blank(desk) }))
    }

    async fn show(&self, desk: &AdminDesk, shown: Shown<'_>) -> Result<Response, WebError> {
        let doc = self.doc(desk).await?;
        let directory = desk.state.index.directory();
        let none = Value::Null;
        let layer = doc.body.get("policy").unwrap_or(&none);
        let without = self.effective(&directory, desk, false);
        let values = context! {
            scope => match self { Scope::Account => "account", Scope::Aws(..) => "aws", Scope::User(..) => "user" },
            path => self.path(),
            title => self.title(),
            rev => doc.rev.as_deref().unwrap_or_default(),
            groups => settings::form(layer, &without, shown.typed, self.is_personal()),
            mistakes => shown.mistakes,
            preview => shown.preview,
            differences => shown.differences,
            layers => layers(&directory, desk),
        };
        desk.show("policy", &self.title(), "policy.html", values)
    }

    /// `do=preview` shows what the change would alter; `do=save` makes it.
    async fn change(&self, act: AdminAct) -> Result<Response, WebError> {
        let (desk, fields) = (&act.desk, &act.fields);
        let mut doc = self.doc(desk).await?;
        let before = doc.body.get("policy").cloned().unwrap_or_default();
        let without = self.effective(&desk.state.index.directory(), desk, false);
        let layer = match settings::read(&before, fields, self.is_personal(), &without) {
            Ok(layer) => layer,
            Err(mistakes) => {
                let shown = Shown { typed: Some(fields), mistakes, ..Shown::default() };
                return self.show(desk, shown).await;
            }
        };
        if fields.get("do") != "save" {
            return self.preview(desk, fields, &layer).await;
        }
        // What was shown was made of this revision.
        if doc.rev.as_deref().unwrap_or_default() != fields.get("rev") {
            return Err(WebError::Conflict);
        }
        doc.body["policy"] = layer;
        desk.write(doc).await?;
        Ok(desk.done(&self.path(), "Saved. No running lease moves by itself: apply it to them where it should."))
    }

    async fn preview(&self, desk: &AdminDesk, fields: &Fields, layer: &Value) -> Result<Response, WebError> {
        let aws_id = match self {
            Scope::Aws(aws_id, _) => Some(aws_id),
            _ => None,
        };
        let (preview, directories) = forecast(desk, &self.id(desk), aws_id, layer).await?;
        let [before, after] = directories.map(|directory| self.effective(&directory, desk, true));
        let differences = settings::differences(&before, &after);
        let shown = Shown { typed: Some(fields), preview: Some(preview), differences, ..Shown::default() };
        self.show(desk, shown).await
    }
}

/// What goes on otherwise with that layer in the place of the one of that id; of one AWS account, or of all. With the small
/// documents as they are, and as they would be.
pub(in crate::web) async fn forecast(
    admin: &Admin,
    id: &str,
    aws_id: Option<&AwsId>,
    layer: &Value,
) -> Result<(Preview, [Arc<Directory>; 2]), WebError> {
    let ground = Ground::read(admin, aws_id).await?;
    let mut then = (*ground.directory).clone();
    let typed: PolicyLayer = serde_json::from_value(layer.clone()).unwrap_or_default();
    then.policies.insert(id.to_owned(), typed);
    let preview = ground.compare(admin, &then).await;
    Ok((preview, [ground.directory, Arc::new(then)]))
}

/// What a page holds beside the form.
#[derive(Default)]
struct Shown<'a> {
    typed: Option<&'a Fields>,
    mistakes: Vec<String>,
    preview: Option<Preview>,
    differences: Vec<minijinja::Value>,
}

/// Every layer that there is, and every one that could be.
fn layers(directory: &Directory, desk: &AdminDesk) -> minijinja::Value {
    let account = &desk.person.account;
    let says = |id: &str| directory.policies.get(id).is_some_and(|layer| *layer != PolicyLayer::default());
    let aws = directory.aws_accounts.values().filter(|aws| aws.account == *account).map(|aws| {
        let name = if aws.name.trim().is_empty() { aws.aws_id.to_string() } else { clean(&aws.name) };
        context! { path => format!("/policy/aws/{}", aws.aws_id), name,
        own => says(&format!("policy::{account}::aws::{}", aws.aws_id)) }
    });
    let people = directory.of(account).map(|user| {
        let name = if user.name.trim().is_empty() { user.email.clone() } else { user.name.clone() };
        context! { path => format!("/policy/user/{}", user.user), name => clean(&name),
        own => says(&format!("policy::{account}::user::{}", user.user)) }
    });
    context! { aws => aws.collect::<Vec<_>>(), people => people.collect::<Vec<_>>() }
}

/// `GET /policy`.
pub(super) async fn account_page(desk: AdminDesk) -> Result<Response, WebError> {
    Scope::Account.show(&desk, Shown::default()).await
}

/// `POST /policy`.
pub(super) async fn account(act: AdminAct) -> Result<Response, WebError> {
    Scope::Account.change(act).await
}

/// `GET /policy/aws/{aws_id}`.
pub(super) async fn aws_page(desk: AdminDesk, Path(aws_id): Path<String>) -> Result<Response, WebError> {
    Scope::aws(&desk, &aws_id).await?.show(&desk, Shown::default()).await
}

/// `POST /policy/aws/{aws_id}`.
pub(super) async fn aws(Path(aws_id): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    Scope::aws(&act.desk, &aws_id).await?.change(act).await
}

/// `GET /policy/user/{user}`.
pub(super) async fn user_page(desk: AdminDesk, Path(user): Path<String>) -> Result<Response, WebError> {
    Scope::user(&desk, &user).await?.show(&desk, Shown::default()).await
}

/// `POST /policy/user/{user}`.
pub(super) async fn user(Path(user): Path<String>, act: AdminAct) -> Result<Response, WebError> {
    Scope::user(&act.desk, &user).await?.change(act).await
}
