using System.Diagnostics.CodeAnalysis;
using Clustd.Client;
using Clustd.Client.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

// Where every program that builds a host looks for it, by the convention of the platform.
namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers workers that run only while this machine is the master.</summary>
public static class ClustdServiceCollectionExtensions
{
    /// <summary>
    /// Runs <typeparamref name="T"/> only while this machine is the master of <paramref name="service"/>: a new object for each time, made in a scope of its own,
    /// with a <see cref="Lease"/> for any constructor in that scope that asks for one. Reads the section <c>Clustd</c> of the configuration. Several workers, for the
    /// same service or for others, may be registered; those of one service start in this order and stop in reverse.
    /// </summary>
    /// <typeparam name="T">A <see cref="ClustdMasterService"/>, or any other <see cref="BackgroundService"/>. Do not register it as a hosted service, too.</typeparam>
    /// <param name="services">The services of the host.</param>
    /// <param name="service">The service; null: the cluster's default service. If one worker names its service, all have to.</param>
    /// <param name="configure">Changes what the configuration says; null: nothing. See <see cref="AddClustd"/>.</param>
    public static IServiceCollection AddClustdMaster<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] T>(
        this IServiceCollection services, string? service = null, Action<ClustdOptions>? configure = null)
        where T : BackgroundService =>
        services.AddClustd(configure).AddSingleton(new MasterRegistration(service, typeof(T).Name, static scope => ActivatorUtilities.CreateInstance<T>(scope)));

    /// <inheritdoc cref="AddClustdMaster{T}(IServiceCollection, string?, Action{ClustdOptions}?)"/>
    public static IServiceCollection AddClustdMaster<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors)] T>(
        this IServiceCollection services, Action<ClustdOptions> configure)
        where T : BackgroundService =>
        services.AddClustdMaster<T>(service: null, configure);

    /// <summary>Sets how clustd is reached, once for all workers of the program, and makes <see cref="ClustdState"/> available. Called by the others; calling it again only adds settings.</summary>
    /// <param name="services">The services of the host.</param>
    /// <param name="configure">Changes what the section <c>Clustd</c> of the configuration says.</param>
    public static IServiceCollection AddClustd(this IServiceCollection services, Action<ClustdOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        if (!services.Any(service => service.ServiceType == typeof(ClustdState)))
        {
            services.AddOptions<ClustdOptions>().Configure<IServiceProvider>(static (options, provider) =>
            {
                if (provider.GetService<IConfiguration>() is { } configuration)
                    ClustdConfiguration.Read(configuration.GetSection(ClustdOptions.SectionName), options);
            });
            services.AddSingleton<ClustdState>();
            services.AddScoped<GrantedLease>();
            services.AddScoped(static scope => scope.GetRequiredService<GrantedLease>().Required);
            services.TryAddEnumerable(ServiceDescriptor.Singleton<IHostedService, ClustdHostedService>());
        }
        if (configure is not null)
            services.Configure(configure);
        return services;
    }
}
