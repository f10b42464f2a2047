//! The macro behind the configuration struct: from one list it makes the struct,
//! the table of settings and the reader, so that none of them can lack a setting.

macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ty = $default:literal, $key:literal, read by [$($reader:ident),+];
    )+) => {
        /// Every setting of Patchbay.
        #[derive(Debug, Clone)]
        pub struct Config {
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        /// The table of settings, in the order of the reference.
        pub static SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            doc: concat!($($doc, "\n"),+),
            default: $default,
            allowed: <$type as Value>::ALLOWED,
            secret: <$type as Value>::SECRET,
            read_by: &[$(Reader::$reader),+],
        }),+];

        /// Reads every setting, collecting what is wrong.
        pub(super) fn read(given: &[Given], problems: &mut Vec<Problem>) -> Option<Loaded> {
            let mut settings = SETTINGS.iter();
            let mut rows = Vec::new();
            $(let $field = <$type as Value>::read(settings.next()?, given, &mut rows, problems);)+
            Some(Loaded { config: Config { $($field: $field?),+ }, rows })
        }
    };
}

pub(super) use settings;
