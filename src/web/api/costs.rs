//! What machines cost, as an estimate: a day, an owner, and as pictures.

use super::wire::Query;
use crate::web::chart::{self, Theme};
use crate::web::cost::Sum;
use crate::web::savings::daily;
use crate::web::token::{Caller, Scope};
use crate::web::{State, WebError};
use axum::Json;
use axum::extract::{Path, State as At};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Of how many days.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Days {
    /// 1 to 90; 30 when left out.
    #[param(minimum = 1, maximum = 90)]
    days: Option<u32>,
}

/// What was spent and saved, as an estimate: price × run time. In millionths of a US dollar.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Costs {
    days: Vec<CostPart>,
    owners: Vec<CostPart>,
    /// Date and source of the prices, by region.
    prices: BTreeMap<String, String>,
}

/// A day or an owner.
#[derive(Debug, Serialize, ToSchema)]
struct CostPart {
    /// The day, or the owner's id.
    name: String,
    cost: u64,
    saved: u64,
    /// Hours that machines ran whose price is unknown, and which the sums lack.
    unknown_hours: i64,
}

/// What the Account's machines cost a day and an owner. For admins.
#[utoipa::path(get, path = "/api/v1/costs", tag = "status", params(Days), responses((status = 200, body = Costs)))]
pub(super) async fn costs(
    At(state): At<State>,
    caller: Caller,
    Query(days): Query<Days>,
) -> Result<Json<Costs>, WebError> {
    caller.admin(Scope::Read)?;
    let days = days.days.unwrap_or(30);
    if !(1..=90).contains(&days) {
        return Err(WebError::Invalid("days must be from 1 to 90".to_owned()));
    }
    let prices = state.prices().await?;
    let (daily, regions) = daily(&state, &caller.person, &prices, days).await?;
    let row = |name: String, sum: Sum| CostPart {
        name,
        cost: sum.cost,
        saved: sum.saved,
        unknown_hours: (sum.unknown_seconds + 1_800) / 3_600,
    };
    let told = regions.into_iter().map(|region| {
        let origin =
            prices.origin(&region).map_or("unknown".to_owned(), |(as_of, source)| format!("{as_of}: {source}"));
        (region, origin)
    });
    Ok(Json(Costs {
        days: daily.days().into_iter().map(|(day, sum)| row(day.to_string()[..10].to_owned(), sum)).collect(),
        owners: daily.owners().into_iter().map(|(owner, sum)| row(owner, sum)).collect(),
        prices: told.collect(),
    }))
}

/// Of how many days, and for which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Picture {
    /// 1 to 90; 30 when left out.
    #[param(minimum = 1, maximum = 90)]
    days: Option<u32>,
    /// `light` (usual) or `dark`
    theme: Option<String>,
}

/// The same as a picture: `days.svg` or `owners.svg`. For admins.
#[utoipa::path(get, path = "/api/v1/costs/{picture}", tag = "status", params(("picture" = String, Path), Picture),
    responses((status = 200, content_type = "image/svg+xml", body = String)))]
pub(super) async fn picture(
    At(state): At<State>,
    caller: Caller,
    Path(name): Path<String>,
    Query(wanted): Query<Picture>,
) -> Result<Response, WebError> {
    caller.admin(Scope::Read)?;
    let days = wanted.days.unwrap_or(30);
    if !(1..=90).contains(&days) {
        return Err(WebError::Invalid("days must be from 1 to 90".to_owned()));
    }
    let theme = match wanted.theme.as_deref() {
        None | Some("light") => Theme::Light,
        Some("dark") => Theme::Dark,
        Some(_) => return Err(WebError::Invalid("theme must be light or dark".to_owned())),
    };
    let prices = state.prices().await?;
    let (daily, _) = daily(&state, &caller.person, &prices, days).await?;
    let drawn = match name.as_str() {
        "days.svg" => chart::per_day(&daily, theme),
        "owners.svg" => chart::per_owner(&daily.owners(), theme),
        _ => return Err(WebError::NotFound("the pictures are days.svg and owners.svg".to_owned())),
    };
    let svg = drawn.map_err(|why| WebError::Internal(anyhow::anyhow!("{why}")))?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml"))], svg).into_response())
}
