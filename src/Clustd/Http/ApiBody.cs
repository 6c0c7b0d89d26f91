using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.AspNetCore.Http;

namespace Clustd.Http;

/// <summary>Reads what a request brings, never more than <see cref="BytesMax"/>.</summary>
internal static class ApiBody
{
    public const int BytesMax = 16 * 1024;

    /// <summary>The body as <typeparamref name="T"/>. An empty one counts as <c>{}</c>.</summary>
    /// <exception cref="ApiBodyException">It is too large, or not what was asked for.</exception>
    public static async Task<T> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type)
        where T : class
    {
        var buffer = new byte[BytesMax + 1];
        var length = 0;
        while (length < buffer.Length)
        {
            var read = await context.Request.Body.ReadAsync(buffer.AsMemory(length), context.RequestAborted);
            if (read == 0)
            {
                break;
            }

            length += read;
        }

        if (length > BytesMax)
        {
            throw new ApiBodyException(ApiAnswer.Problem(413, "Cannot take the request.", $"Its body is over {BytesMax} bytes.", "Send only what the route asks for."));
        }

        try
        {
            return JsonSerializer.Deserialize(length == 0 ? "{}"u8 : buffer.AsSpan(0, length), type) ?? throw new JsonException("It is null.");
        }
        catch (JsonException e)
        {
            throw new ApiBodyException(ApiAnswer.Problem(400, "Cannot read the request.", $"Its body is not the JSON that was expected: {e.Message}", "Correct the body; docs/api.md shows one for each route."));
        }
    }
}

/// <summary>The body cannot be used; the answer says why.</summary>
internal sealed class ApiBodyException(ApiAnswer answer) : Exception
{
    public ApiAnswer Answer { get; } = answer;
}
