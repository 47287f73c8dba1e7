//! Advice as clients read it: the texts of [`crate::classify::guide`] with what is known of an error, and links into both
//! systems.

use async_graphql::SimpleObject;

use super::record::{Links, has_page};
use crate::classify::guide::{self, Facts, Page};
use crate::classify::{Details, SyncErrorType, System};
use crate::kernel::scalars::Url;
use crate::portals::{Locale, PortalRow};
use crate::sync_errors::tables::sync_errors;

/// What an error means and what to do about it, in our own words.
#[derive(Debug, Clone, SimpleObject)]
pub struct ResolutionGuide {
    /// What happened, and why.
    explanation: String,
    /// What to do, in order.
    steps: Vec<ResolutionStep>,
}

impl ResolutionGuide {
    /// The first step, with its first link where it has any.
    pub(super) fn into_first(self) -> Option<(String, Option<(String, Url)>)> {
        let step = self.steps.into_iter().next()?;
        let link = step.links.into_iter().next();
        Some((step.text, link.map(|link| (link.label, link.url))))
    }
}

/// The steps of an error's guide as one text, for who shows no lists.
pub(in crate::sync_errors) fn advice(
    portal: &PortalRow,
    locale: Locale,
    row: &sync_errors::Model,
    details: &Details,
) -> String {
    let samples: Vec<String> = serde_json::from_str(&row.sample_values).unwrap_or_default();
    let guide = Place::of(portal, Some(locale)).guide_of(row, details, &samples);
    let steps = (1..).zip(&guide.steps);
    let steps: Vec<_> = steps
        .map(|(number, step)| format!("{number}. {}", step.text))
        .collect();
    steps.join(" ")
}

/// One thing to do.
#[derive(Debug, Clone, SimpleObject)]
pub struct ResolutionStep {
    /// What, and where to click; names object, field, value and limit where they are known.
    text: String,
    /// In which system; null when in neither.
    system: Option<System>,
    /// Pages where it is done; none where the system's address is not known.
    links: Vec<GuideLink>,
}

/// A page of one of the two systems.
#[derive(Debug, Clone, SimpleObject)]
pub struct GuideLink {
    /// What the page is called.
    label: String,
    /// Its address in this portal or org.
    url: Url,
}

/// What is known of the portal beside its errors.
pub(super) struct Place<'a> {
    links: Links,
    user: Option<&'a str>,
    locale: Locale,
}

impl<'a> Place<'a> {
    pub(super) fn of(row: &'a PortalRow, locale: Option<Locale>) -> Self {
        Self {
            links: Links::of(row),
            user: row.portal.salesforce_username.as_deref(),
            locale: locale.unwrap_or(row.portal.locale),
        }
    }

    /// The advice for a type as such.
    pub(super) fn guide_of_type(&self, error_type: SyncErrorType) -> ResolutionGuide {
        let facts = Facts {
            user: self.user.map(str::to_owned),
            ..Facts::default()
        };
        self.shown(
            guide::guide(error_type, None, self.locale, &facts),
            &Objects::default(),
        )
    }

    /// The advice for an error.
    pub(super) fn guide_of(
        &self,
        row: &sync_errors::Model,
        details: &Details,
        samples: &[String],
    ) -> ResolutionGuide {
        let objects = Objects {
            hubspot: row.hubspot_object_type.clone(),
            salesforce: row.salesforce_object_type.clone(),
        };
        let mut facts = Facts {
            object: match row.system {
                System::Hubspot => objects.hubspot.clone().or(objects.salesforce.clone()),
                System::Salesforce => objects.salesforce.clone().or(objects.hubspot.clone()),
            },
            value: samples.first().cloned(),
            user: self.user.map(str::to_owned),
            code: row.code.clone(),
            ..Facts::default()
        };
        facts.add_details(details, row.system);
        let guide = guide::guide(row.error_type, row.code.as_deref(), self.locale, &facts);
        self.shown(guide, &objects)
    }

    fn shown(&self, guide: guide::Guide, objects: &Objects) -> ResolutionGuide {
        let link = |page: &Page| {
            Some(GuideLink {
                label: label(*page, self.locale).to_owned(),
                url: self.links.page(*page, objects)?,
            })
        };
        let step = |step: guide::Step| ResolutionStep {
            links: step.pages.iter().filter_map(link).collect(),
            text: step.text,
            system: step.system,
        };
        ResolutionGuide {
            explanation: guide.explanation,
            steps: guide.steps.into_iter().map(step).collect(),
        }
    }
}

/// The object types on both sides.
#[derive(Debug, Default)]
pub(super) struct Objects {
    hubspot: Option<String>,
    salesforce: Option<String>,
}

impl Links {
    /// A page in this portal or org; none where the system's address is not known.
    fn page(&self, page: Page, objects: &Objects) -> Option<Url> {
        let hubspot = |path: &str| Some(Url(format!("{}/{path}", self.hubspot_app_url())));
        let hub_id = self.hub_id();
        let hubspot_type = || Self::hubspot_type_id(objects.hubspot.as_deref()?);
        let setup = |path: &str| {
            let instance = self.salesforce_instance_url()?;
            Some(Url(format!("{instance}/lightning/setup/{path}")))
        };
        let object = |part: &str| match objects
            .salesforce
            .as_deref()
            .filter(|name| is_api_name(name))
        {
            Some(name) => setup(&format!("ObjectManager/{name}/{part}/view")),
            None => setup("ObjectManager/home"),
        };
        match page {
            Page::HubspotIntegration => hubspot(&format!(
                "integrations-settings/{hub_id}/installed/salesforce"
            )),
            Page::HubspotMappings => hubspot(&format!(
                "integrations-settings/{hub_id}/installed/salesforce{}",
                mapping_tab(objects.hubspot.as_deref())
            )),
            Page::HubspotUsers => hubspot(&format!("settings/{hub_id}/users")),
            Page::HubspotProperties => match hubspot_type() {
                Some(id) => hubspot(&format!("property-settings/{hub_id}/properties?type={id}")),
                None => hubspot(&format!("property-settings/{hub_id}/properties")),
            },
            Page::HubspotImport => hubspot(&format!("import/{hub_id}")),
            Page::HubspotObjects => {
                let id = hubspot_type().filter(|id| has_page(id))?;
                hubspot(&format!("contacts/{hub_id}/objects/{id}/views/all/list"))
            }
            Page::SalesforceObject => object("Details"),
            Page::SalesforceFields => object("FieldsAndRelationships"),
            Page::SalesforceValidationRules => object("ValidationRules"),
            Page::SalesforceTriggers => object("ApexTriggers"),
            Page::SalesforceRecordTypes => object("RecordTypes"),
            Page::SalesforceFlows => setup("Flows/home"),
            Page::SalesforcePermissionSets => setup("PermSets/home"),
            Page::SalesforceProfiles => setup("EnhancedProfiles/home"),
            Page::SalesforceUsers => setup("ManageUsers/home"),
            Page::SalesforceDuplicateRules => setup("DuplicateRules/home"),
            Page::SalesforceStateCountry => setup("AddressCleanerOverview/home"),
            Page::SalesforceApprovals => setup("ApprovalProcesses/home"),
            Page::SalesforceCompany => setup("CompanyProfileInfo/home"),
            Page::SalesforceStorage => setup("CompanyResourceDisk/home"),
            Page::SalesforceConnectedApps => setup("ConnectedAppsUsage/home"),
            Page::SalesforceApexClasses => setup("ApexClasses/home"),
            Page::SalesforceDebugLogs => setup("ApexDebugLogs/home"),
            Page::SalesforceSharing => setup("SecuritySharing/home"),
        }
    }
}

/// The tab of the integration's settings that holds an object's mappings; the settings themselves where it has none.
fn mapping_tab(object: Option<&str>) -> &'static str {
    match object {
        Some("contact") => "/contacts",
        Some("company") => "/companies",
        Some("deal") => "/deals",
        Some("ticket") => "/tickets",
        _ => "",
    }
}

/// A name is a provider's text: only what can be one becomes part of a link.
pub(super) fn is_api_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_word)
}

/// What the two systems call their pages.
fn label(page: Page, locale: Locale) -> &'static str {
    let (en, de) = match page {
        Page::HubspotIntegration => (
            "HubSpot: Salesforce integration",
            "HubSpot: Salesforce-Integration",
        ),
        Page::HubspotUsers => ("HubSpot: Users & Teams", "HubSpot: Benutzer & Teams"),
        Page::HubspotMappings => (
            "HubSpot: Salesforce mappings",
            "HubSpot: Salesforce-Zuordnungen",
        ),
        Page::HubspotProperties => ("HubSpot: Properties", "HubSpot: Eigenschaften"),
        Page::HubspotImport => ("HubSpot: Imports", "HubSpot: Importe"),
        Page::HubspotObjects => ("HubSpot: Records", "HubSpot: Datensätze"),
        Page::SalesforceObject => ("Salesforce: Object Manager", "Salesforce: Objekt-Manager"),
        Page::SalesforceFields => (
            "Salesforce: Fields & Relationships",
            "Salesforce: Felder und Beziehungen",
        ),
        Page::SalesforceValidationRules => (
            "Salesforce: Validation Rules",
            "Salesforce: Validierungsregeln",
        ),
        Page::SalesforceTriggers => ("Salesforce: Triggers", "Salesforce: Auslöser"),
        Page::SalesforceFlows => ("Salesforce: Flows", "Salesforce: Flows"),
        Page::SalesforcePermissionSets => (
            "Salesforce: Permission Sets",
            "Salesforce: Berechtigungssätze",
        ),
        Page::SalesforceProfiles => ("Salesforce: Profiles", "Salesforce: Profile"),
        Page::SalesforceUsers => ("Salesforce: Users", "Salesforce: Benutzer"),
        Page::SalesforceDuplicateRules => {
            ("Salesforce: Duplicate Rules", "Salesforce: Duplikatsregeln")
        }
        Page::SalesforceRecordTypes => ("Salesforce: Record Types", "Salesforce: Datensatztypen"),
        Page::SalesforceStateCountry => (
            "Salesforce: State and Country Picklists",
            "Salesforce: Bundesländer- und Länder-Auswahllisten",
        ),
        Page::SalesforceApprovals => (
            "Salesforce: Approval Processes",
            "Salesforce: Genehmigungsprozesse",
        ),
        Page::SalesforceCompany => (
            "Salesforce: Company Information",
            "Salesforce: Unternehmensinformationen",
        ),
        Page::SalesforceStorage => ("Salesforce: Storage Usage", "Salesforce: Speichernutzung"),
        Page::SalesforceConnectedApps => (
            "Salesforce: Connected Apps OAuth Usage",
            "Salesforce: OAuth-Nutzung von verbundenen Anwendungen",
        ),
        Page::SalesforceApexClasses => ("Salesforce: Apex Classes", "Salesforce: Apex-Klassen"),
        Page::SalesforceDebugLogs => ("Salesforce: Debug Logs", "Salesforce: Debug-Protokolle"),
        Page::SalesforceSharing => (
            "Salesforce: Sharing Settings",
            "Salesforce: Freigabeeinstellungen",
        ),
    };
    match locale {
        Locale::En => en,
        Locale::De => de,
    }
}
