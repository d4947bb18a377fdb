package wire

func marshalCBOR(v any) ([]byte, error)            { return appendSmallCBOR(nil, v) }
func unmarshalCBOR(b []byte, v any) error          { return unmarshalSmallCBOR(b, v) }
func firstTwo(b []byte) (one, two uint64, ok bool) { return smallFirstTwo(b) }
