// The known types of PostgreSQL, by OID (`pg_type.dat`), and their formats.

/// The binary format of a type.
enum PostgresFormat: UInt8 {
    case bool, int2, int4, int8, oid, float4, float8, numeric, text, bytes, json, jsonb, uuid
    case timestamp, timestampZoned, date, time, timeZoned, interval
    case array, range, multirange
}

/// The structure of a composite text value.
indirect enum PostgresTextForm {
    case record
    /// - Parameter of: the form of an element; nil for plain text.
    case array(of: PostgresTextForm?)
}

/// The properties of a type by its OID.
enum PostgresType {
    /// The binary format of a type; nil for a type that is requested as text.
    static func format(_ oid: UInt32) -> PostgresFormat? {
        switch oid {
        case 16: .bool
        case 17: .bytes
        case 19, 25, 1042, 1043: .text
        case 20: .int8
        case 21: .int2
        case 23: .int4
        case 26, 28, 29: .oid
        case 114: .json
        case 3802: .jsonb
        case 700: .float4
        case 701: .float8
        case 1082: .date
        case 1083: .time
        case 1114: .timestamp
        case 1184: .timestampZoned
        case 1186: .interval
        case 1266: .timeZoned
        case 1700: .numeric
        case 2950: .uuid
        case 3904, 3906, 3908, 3910, 3912, 3926: .range
        case 4451, 4532, 4533, 4534, 4535, 4536: .multirange
        case 199, 1000, 1001, 1003, 1005, 1007, 1009, 1014, 1015, 1016, 1021, 1022, 1028, 1115, 1182, 1183, 1185, 1187,
            1231, 1270, 2951, 3807, 3905, 3907, 3909, 3911, 3913, 3927:
            .array
        default: nil
        }
    }

    /// The structure of a type that is requested as text: the fields of a record may have any type, whose binary format
    /// only the server knows.
    static func textForm(_ oid: UInt32) -> PostgresTextForm? {
        switch oid {
        case 2249: .record
        case 2287: .array(of: .record)
        case 651, 1002, 1041: .array(of: nil)
        default: nil
        }
    }

    /// Whether a type is an array of any type.
    static func isArray(_ oid: UInt32) -> Bool {
        if case .array? = format(oid) { return true }
        if case .array? = textForm(oid) { return true }
        return false
    }

    /// The type of a range's bounds.
    static func bound(ofRange oid: UInt32) -> UInt32? {
        switch oid {
        case 3904, 4451: 23
        case 3906, 4532: 1700
        case 3908, 4533: 1114
        case 3910, 4534: 1184
        case 3912, 4535: 1082
        case 3926, 4536: 20
        default: nil
        }
    }

    /// The range type of a multirange.
    static func range(ofMultirange oid: UInt32) -> UInt32? {
        switch oid {
        case 4451: 3904
        case 4532: 3906
        case 4533: 3908
        case 4534: 3910
        case 4535: 3912
        case 4536: 3926
        default: nil
        }
    }

    /// Microseconds from 1970 to 2000, the epoch of PostgreSQL.
    static let epoch: Int64 = 946_684_800_000_000
    /// The same in days.
    static let epochDays: Int32 = 10957
}
