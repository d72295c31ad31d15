//! The macro that makes types from the list of rules; see [`rules`](super::rules).

/// Takes `module::Rule, …` and makes the modules, the names, the settings, and one `enum` each for rules, filters and
/// snapshots.
macro_rules! rules {
    ($($(#[$meta:meta])* $module:ident :: $rule:ident),* $(,)?) => {
        $($(#[$meta])* pub mod $module;)*

        /// The rules that exist.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RuleName {
            $($(#[$meta])* #[doc = concat!("`", stringify!($module), "`")] $rule,)*
        }

        impl RuleName {
            /// All rules in order.
            pub const ALL: &'static [Self] = &[$($(#[$meta])* Self::$rule,)*];

            /// The name on the command line, in the configuration and in documents.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(#[$meta])* Self::$rule => stringify!($module),)*
                }
            }

            /// Describes the rule without running it.
            pub fn entry(self) -> CatalogEntry {
                match self {
                    $($(#[$meta])* Self::$rule => CatalogEntry {
                        rule: self,
                        identity: <$module::$rule as Rule>::IDENTITY,
                        is_default: <$module::$rule as Rule>::IS_DEFAULT,
                    },)*
                }
            }

            /// The stage that the rule's counters are shown under.
            pub(super) fn stage(self) -> &'static str {
                match self {
                    $($(#[$meta])* Self::$rule => <$module::$rule as Rule>::STAGE,)*
                }
            }

            /// The names of the counters that count alerts, not exchanges.
            pub(super) fn alert_counters(self) -> &'static [&'static str] {
                match self {
                    $($(#[$meta])* Self::$rule => <$module::$rule as Rule>::ALERT_COUNTERS,)*
                }
            }
        }

        /// The list of rules that run, and the user's settings for each rule.
        #[derive(Debug, Clone)]
        pub struct RulesSettings {
            /// The rules that run.
            pub enabled: RuleSet,
            /// The most bytes of evidence (texts and tallies) that all rules hold together. Counting continues when the
            /// limit is reached.
            pub text_bytes: usize,
            $($(#[$meta])* #[doc = concat!("Settings of `", stringify!($module), "`.")]
            pub $module: <$module::$rule as Rule>::Settings,)*
        }

        impl Default for RulesSettings {
            fn default() -> Self {
                Self {
                    enabled: RuleSet::of_defaults(),
                    text_bytes: DEFAULT_TEXT_BYTES,
                    $($(#[$meta])* $module: Default::default(),)*
                }
            }
        }

        /// A rule's filter.
        #[derive(Debug, Clone)]
        enum AnyFilter {
            $($(#[$meta])* $rule(<$module::$rule as Rule>::Filter),)*
        }

        impl AnyFilter {
            fn new(rule: RuleName, settings: &RulesSettings) -> Self {
                match rule {
                    $($(#[$meta])* RuleName::$rule => Self::$rule($module::$rule::filter(&settings.$module)),)*
                }
            }

            fn rule(&self) -> RuleName {
                match self {
                    $($(#[$meta])* Self::$rule(_) => RuleName::$rule,)*
                }
            }

            #[inline]
            fn matches(&self, exchange: &Exchange, reason: Option<Reason>) -> bool {
                match self {
                    $($(#[$meta])* Self::$rule(filter) => filter.matches(exchange, reason),)*
                }
            }
        }

        /// A rule's snapshot.
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum AnySnapshot<'a> {
            $($(#[$meta])* $rule(<$module::$rule as Rule>::Snapshot<'a>),)*
        }

        impl AnySnapshot<'_> {
            pub(super) fn rule(&self) -> RuleName {
                match self {
                    $($(#[$meta])* Self::$rule(_) => RuleName::$rule,)*
                }
            }

            pub(super) fn groups(&self) -> usize {
                match self {
                    $($(#[$meta])* Self::$rule(snapshot) => $module::$rule::groups_in(snapshot),)*
                }
            }

            pub(super) fn limit(&mut self, bytes: usize) -> usize {
                match self {
                    $($(#[$meta])* Self::$rule(snapshot) => $module::$rule::limit(snapshot, bytes),)*
                }
            }

            pub(super) fn into_owned(self) -> AnySnapshot<'static> {
                match self {
                    $($(#[$meta])* Self::$rule(snapshot) => AnySnapshot::$rule($module::$rule::into_owned(snapshot)),)*
                }
            }
        }

        /// A running rule.
        #[derive(Debug)]
        pub(super) enum AnyRule {
            $($(#[$meta])* $rule(Box<$module::$rule>),)*
        }

        impl AnyRule {
            pub(super) fn new(rule: RuleName, settings: &RulesSettings, context: &RuleContext) -> Self {
                match rule {
                    $($(#[$meta])* RuleName::$rule => {
                        Self::$rule(Box::new($module::$rule::new(settings.$module.clone(), context)))
                    })*
                }
            }

            /// Creates the same rule with the same settings, but without state.
            pub(super) fn anew(&self, context: &RuleContext) -> Self {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => {
                        Self::$rule(Box::new($module::$rule::new(rule.settings().clone(), context)))
                    })*
                }
            }

            pub(super) fn restore(
                settings: &RulesSettings,
                context: &RuleContext,
                snapshot: AnySnapshot<'_>,
            ) -> Result<Self, SnapshotError> {
                match snapshot {
                    $($(#[$meta])* AnySnapshot::$rule(snapshot) => {
                        let rule = $module::$rule::restore(settings.$module.clone(), context, snapshot)?;
                        Ok(Self::$rule(Box::new(rule)))
                    })*
                }
            }

            pub(super) fn reconfigure(
                &mut self,
                settings: &RulesSettings,
                context: &RuleContext,
            ) -> Result<(), SnapshotError> {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.reconfigure(settings.$module.clone(), context),)*
                }
            }

            pub(super) fn name(&self) -> RuleName {
                match self {
                    $($(#[$meta])* Self::$rule(_) => RuleName::$rule,)*
                }
            }

            #[inline]
            pub(super) fn observe(&mut self, observation: &Observation, now: Timestamp, alerts: &mut Vec<Alert>) {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.observe(observation, now, alerts),)*
                }
            }

            #[inline]
            pub(super) fn take(&mut self, matched: &Matched<'_>, alerts: &mut Vec<Alert>) {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.take(matched, alerts),)*
                }
            }

            pub(super) fn turn(&mut self, turn: &Turn, now: Timestamp, alerts: &mut Vec<Alert>) {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.turn(turn, now, alerts),)*
                }
            }

            pub(super) fn reached(&self) -> Option<Timestamp> {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.reached(),)*
                }
            }

            pub(super) fn advance(&mut self, watermark: Timestamp, alerts: &mut Vec<Alert>) {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.advance(watermark, alerts),)*
                }
            }

            pub(super) fn go_back(&mut self, to: Timestamp, alerts: &mut Vec<Alert>) {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.go_back(to, alerts),)*
                }
            }

            pub(super) fn finish(&mut self, last: Timestamp, alerts: &mut Vec<Alert>) {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.finish(last, alerts),)*
                }
            }

            pub(super) fn note_loss(&mut self, lost: Stretch) {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.note_loss(lost),)*
                }
            }

            pub(super) fn snapshot(&self) -> AnySnapshot<'_> {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => AnySnapshot::$rule(rule.snapshot()),)*
                }
            }

            pub(super) fn retires_at(&self, now: Timestamp) -> Timestamp {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.retires_at(now),)*
                }
            }

            pub(super) fn retire(&mut self, now: Timestamp, until: Timestamp, alerts: &mut Vec<Alert>) {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.retire(now, until, alerts),)*
                }
            }

            pub(super) fn counts(&self) -> Vec<Count> {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.counts(),)*
                }
            }

            pub(super) fn gauges(&self) -> Vec<Count> {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.gauges(),)*
                }
            }

            pub(super) fn near_misses(&self) -> &[NearMiss] {
                match self {
                    $($(#[$meta])* Self::$rule(rule) => rule.near_misses(),)*
                }
            }
        }
    };
}
