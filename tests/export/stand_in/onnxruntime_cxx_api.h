// In the place of onnxruntime's header, whose signatures these are, where only the colour of docs/deploy.md is tested:
// the "network" gives the larger of both planes.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

enum OrtAllocatorType { OrtDeviceAllocator, OrtArenaAllocator };
enum OrtMemType { OrtMemTypeDefault };
struct OrtMemoryInfo {};

namespace Ort {
struct MemoryInfo {
    static MemoryInfo CreateCpu(OrtAllocatorType, OrtMemType) { return {}; }
    operator const OrtMemoryInfo*() const { return nullptr; }
};

struct RunOptions {};

struct Value {
    std::vector<float> values;
    std::vector<std::int64_t> shape;

    explicit Value(std::nullptr_t) {}
    Value(Value&&) = default;
    Value(const Value&) = delete;
    template <typename T>
    static Value CreateTensor(
        const OrtMemoryInfo*, T* data, std::size_t count, const std::int64_t* shape, std::size_t shape_len) {
        Value made(nullptr);
        made.values.assign(data, data + count);
        made.shape.assign(shape, shape + shape_len);
        return made;
    }
    template <typename T>
    const T* GetTensorData() const {
        return values.data();
    }
};

struct Session {
    std::vector<Value> Run(
        const RunOptions&, const char* const* input_names, const Value* inputs, std::size_t input_count,
        const char* const* output_names, std::size_t output_count) {
        const std::vector<std::string> names(input_names, input_names + input_count);
        std::vector<Value> outputs;
        const auto& shape = inputs[0].shape;
        const bool planes = shape.size() == 4 && shape == inputs[1].shape && shape[0] == 1 && shape[1] == 1 &&
                            shape[2] * shape[3] == static_cast<std::int64_t>(inputs[0].values.size());
        if (names != std::vector<std::string>{"a", "b"} || output_count != 1 ||
            output_names[0] != std::string("fused") || !planes)
            return outputs;
        Value fused(nullptr);
        for (std::size_t i = 0; i < inputs[0].values.size(); ++i)
            fused.values.push_back(std::max(inputs[0].values[i], inputs[1].values[i]));
        outputs.push_back(std::move(fused));
        return outputs;
    }
};
}  // namespace Ort
